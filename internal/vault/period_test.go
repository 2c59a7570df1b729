package vault

import (
	"testing"
	"time"
)

func TestParsePeriod(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Period
		ok   bool
	}{
		{"P90D", Period{Days: 90}, true},
		{"P30D", Period{Days: 30}, true},
		{"P2Y", Period{Years: 2}, true},
		{"P1M", Period{Months: 1}, true},
		{"PT48H", Period{Seconds: 48 * 3600}, true},
		{"P1Y10D", Period{Years: 1, Days: 10}, true},
		{"P4W", Period{Days: 28}, true},
		{"P1Y2M3W4DT5H6M7S", Period{1, 2, 25, 5*3600 + 6*60 + 7}, true},
		{"PT1M", Period{Seconds: 60}, true},
		{"P0D", Period{}, true},
		{"P99999D", Period{Days: 99999}, true},
		{"P100000D", Period{}, false},
		{"P99999999999999999999999D", Period{}, false},
		{"", Period{}, false},
		{"P", Period{}, false},
		{"PT", Period{}, false},
		{"P1DT", Period{}, false},
		{"90D", Period{}, false},
		{"P90", Period{}, false},
		{"PD", Period{}, false},
		{"P-1D", Period{}, false},
		{"-P1D", Period{}, false},
		{"P1.5D", Period{}, false},
		{"p90d", Period{}, false},
		{"P1D1Y", Period{}, false},
		{"P1D1D", Period{}, false},
		{"P1H", Period{}, false},
		{"PT1D", Period{}, false},
		{"PT1HT1M", Period{}, false},
		{"P1D ", Period{}, false},
		{"P٣D", Period{}, false},
	} {
		if got, ok := ParsePeriod(tt.in); got != tt.want || ok != tt.ok {
			t.Errorf("ParsePeriod(%q) = %v, %v, want %v, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

func TestPeriodOnTheCalendar(t *testing.T) {
	for _, tt := range []struct{ period, from, after, before string }{
		{"P90D", "2026-01-01", "2026-04-01", "2025-10-03"},
		{"P1M", "2026-02-15", "2026-03-15", "2026-01-15"},
		{"P1Y", "2024-02-29", "2025-03-01", "2023-03-01"},
		{"PT24H", "2026-03-28", "2026-03-29", "2026-03-27"},
	} {
		p, _ := ParsePeriod(tt.period)
		from := must(time.Parse(time.DateOnly, tt.from))
		if got := p.After(from).Format(time.DateOnly); got != tt.after {
			t.Errorf("%s after %s = %s, want %s", tt.period, tt.from, got, tt.after)
		}
		if got := p.Before(from).Format(time.DateOnly); got != tt.before {
			t.Errorf("%s before %s = %s, want %s", tt.period, tt.from, got, tt.before)
		}
	}
}

func FuzzPeriod(f *testing.F) {
	for _, s := range []string{"P90D", "P1Y2M3W4DT5H6M7S", "PT48H", "P", "P1DT", "P٣D", "P99999Y99999M99999W99999D"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := ParsePeriod(s)
		if !ok {
			if p != (Period{}) {
				t.Errorf("ParsePeriod(%q) refuses with %v, want nothing", s, p)
			}
			return
		}
		if p.Years < 0 || p.Months < 0 || p.Days < 0 || p.Seconds < 0 || p.length() < 0 {
			t.Errorf("ParsePeriod(%q) = %v, which is negative", s, p)
		}
		now := time.Unix(1_700_000_000, 0)
		if a, b := p.After(now), p.Before(now); a.Before(now) || b.After(now) {
			t.Errorf("%q after %v = %v, before = %v, want it around", s, now, a, b)
		}
	})
}
