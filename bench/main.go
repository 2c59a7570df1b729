// Command bench measures postern against what it is made of: a bare TLS
// handler, a bare append with fdatasync. It prints one table, baselines
// first; what counts are the ratios, because times depend on the machine.
// Rounds are interleaved, so that a machine that slows down slows all rows.
//
//	go run ./bench -postern bin/postern
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// settings are the sizes of the measurements.
type settings struct {
	postern  string
	only     string
	rounds   int
	requests int
	writes   int
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "bare" {
		if err := serveBare(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	var s settings
	flag.StringVar(&s.postern, "postern", "bin/postern", "the program to measure")
	flag.IntVar(&s.rounds, "rounds", 7, "interleaved rounds")
	flag.IntVar(&s.requests, "requests", 20000, "GET requests a round")
	flag.StringVar(&s.only, "only", "", "one measurement: "+strings.Join(slices.Sorted(maps.Keys(measurements)), ", "))
	flag.IntVar(&s.writes, "writes", 1000, "durable writes a round")
	flag.Parse()
	if err := run(context.Background(), s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// measurements are what can be measured, by their names.
var measurements = map[string]func(context.Context, settings) ([]row, error){
	"get": measureGet, "crypto": measureCrypto, "decide": measureDecide, "put": measurePut, "dns": measureDNS, "start": measureStart,
	"million": measureMillion, "who": measureWho,
}

// row is one line of the table.
type row struct {
	what  string
	value string
	ratio string
	aim   string
}

func run(ctx context.Context, s settings) error {
	var rows []row
	for _, name := range []string{"get", "crypto", "decide", "put", "dns", "start", "million", "who"} {
		if s.only != "" && s.only != name {
			continue
		}
		more, err := measurements[name](ctx, s)
		if err != nil {
			return err
		}
		rows = append(rows, more...)
	}
	w := tabwriter.NewWriter(os.Stdout, 2, 0, 2, ' ', 0)
	fmt.Fprintln(w, "measured\tmedian (min–max)\tratio\taim")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.what, r.value, r.ratio, r.aim)
	}
	return w.Flush()
}

// spread is the median, the least and the greatest of some figures.
func spread(figures []float64, format string) string {
	s := slices.Sorted(slices.Values(figures))
	return fmt.Sprintf(format+" ("+format+"–"+format+")", median(figures), s[0], s[len(s)-1])
}

func median(figures []float64) float64 {
	s := slices.Sorted(slices.Values(figures))
	return s[len(s)/2]
}

// ratios divides round by round.
func ratios(a, b []float64) []float64 {
	r := make([]float64, len(a))
	for i := range a {
		r[i] = a[i] / b[i]
	}
	return r
}
