package vault

import (
	"strings"
	"time"
)

// Period is a duration of the calendar (ISO 8601): "P90D", "P2Y", "P1M".
type Period struct{ Years, Months, Days, Seconds int }

// maxPeriod bounds every number of a Period, so that no sum overflows and no
// date leaves the calendar.
const maxPeriod = 99_999

// ParsePeriod reads an ISO 8601 duration of whole numbers: P, then years,
// months, weeks and days, then T and hours, minutes and seconds, each at
// most once and in this order.
func ParsePeriod(s string) (p Period, ok bool) {
	rest, found := strings.CutPrefix(s, "P")
	date, clock, timed := strings.Cut(rest, "T")
	if !found || rest == "" || timed && clock == "" {
		return Period{}, false
	}
	if !p.parse(date, "YMWD", []*int{&p.Years, &p.Months, &p.Days, &p.Days}, []int{1, 1, 7, 1}) ||
		!p.parse(clock, "HMS", []*int{&p.Seconds, &p.Seconds, &p.Seconds}, []int{3600, 60, 1}) {
		return Period{}, false
	}
	return p, true
}

// parse adds the numbers of s, each with one of the units that are left, to
// where its unit says.
func (p *Period) parse(s, units string, into []*int, times []int) bool {
	for s != "" {
		n, digits := 0, 0
		for ; digits < len(s) && '0' <= s[digits] && s[digits] <= '9'; digits++ {
			if n = n*10 + int(s[digits]-'0'); n > maxPeriod {
				return false
			}
		}
		if digits == 0 || digits == len(s) {
			return false
		}
		at := strings.IndexByte(units, s[digits])
		if at < 0 {
			return false
		}
		*into[at] += n * times[at]
		s, units, into, times = s[digits+1:], units[at+1:], into[at+1:], times[at+1:]
	}
	return true
}

// After is the moment a period after t, by the calendar of UTC.
func (p Period) After(t time.Time) time.Time {
	return t.UTC().AddDate(p.Years, p.Months, p.Days).Add(time.Duration(p.Seconds) * time.Second)
}

// Before is the moment a period before t.
func (p Period) Before(t time.Time) time.Time {
	return t.UTC().AddDate(-p.Years, -p.Months, -p.Days).Add(-time.Duration(p.Seconds) * time.Second)
}

// length compares periods, in seconds: a year counts 365 days, a month 30.
func (p Period) length() int64 {
	return (int64(p.Years)*365+int64(p.Months)*30+int64(p.Days))*86400 + int64(p.Seconds)
}
