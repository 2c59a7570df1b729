package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// measureStart measures the first answer after a start on a folder that
// exists, the memory of a server that has nothing to do, and the size of the
// program.
func measureStart(ctx context.Context, s settings) ([]row, error) {
	dir, err := os.MkdirTemp("", "postern-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var first float64
	var starts, memory []float64
	for round := range s.rounds + 1 {
		p, took, err := startPostern(ctx, s, dir)
		if err != nil {
			return nil, err
		}
		if round == 0 {
			first = ms(took)
		} else {
			starts = append(starts, ms(took))
		}
		time.Sleep(500 * time.Millisecond) // until it has nothing to do
		m, err := p.memory()
		p.stop()
		if err != nil {
			return nil, err
		}
		memory = append(memory, m/1e6)
	}
	program, err := os.Stat(s.postern)
	if err != nil {
		return nil, err
	}
	return []row{
		{"very first start, making keys and folder, to first answer", fmt.Sprintf("%.0f ms", first), "", "< 1000 ms"},
		{"start to first answer", spread(starts, "%.0f ms"), "", "< 100 ms"},
		{"idle memory", spread(memory, "%.1f MB"), "", "< 30 MB"},
		{"program", fmt.Sprintf("%.1f MB", float64(program.Size())/1e6), "", "< 25 MB stripped"},
	}, nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
