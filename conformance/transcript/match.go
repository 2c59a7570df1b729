package transcript

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Any is the wildcard.
const Any = "…"

// Match compares output with what a transcript expects of it: nil when it
// is that.
func Match(want, got string) error {
	want, got = strings.TrimSpace(want), strings.TrimSpace(got)
	if isJSON(want) {
		var w, g any
		if err := decode(want, &w); err != nil {
			return fmt.Errorf("the expected output is not JSON: %w", err)
		}
		if err := decode(got, &g); err != nil {
			return fmt.Errorf("got %q, want JSON: %w", got, err)
		}
		if err := matchJSON("$", w, g); err != nil {
			return fmt.Errorf("%w\ngot:\n%s\nwant:\n%s", err, got, want)
		}
		return nil
	}
	if !matchText(want, got) {
		return fmt.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	return nil
}

func isJSON(want string) bool { return strings.HasPrefix(want, "{") || strings.HasPrefix(want, "[") }

func decode(text string, into *any) error {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return fmt.Errorf("more than one value")
	}
	return nil
}

// matchText compares text with wildcards. Trailing blanks do not matter.
func matchText(want, got string) bool {
	return matchLines(strings.Split(want, "\n"), strings.Split(got, "\n"))
}

func matchLines(want, got []string) bool {
	for len(want) > 0 {
		if strings.TrimSpace(want[0]) == Any {
			for i := 0; i <= len(got); i++ {
				if matchLines(want[1:], got[i:]) {
					return true
				}
			}
			return false
		}
		if len(got) == 0 || !matchLine(want[0], got[0]) {
			return false
		}
		want, got = want[1:], got[1:]
	}
	return len(got) == 0
}

// matchLine takes the parts between the wildcards at their first place,
// the last one at the end.
func matchLine(want, got string) bool {
	want, got = strings.TrimRight(want, " \t\r"), strings.TrimRight(got, " \t\r")
	parts := strings.Split(want, Any)
	if len(parts) == 1 {
		return want == got
	}
	got, ok := strings.CutPrefix(got, parts[0])
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(got, p)
		if !ok || i < 0 {
			return false
		}
		got = got[i+len(p):]
	}
	return ok && strings.HasSuffix(got, parts[len(parts)-1])
}

func matchJSON(path string, want, got any) error {
	switch w := want.(type) {
	case string:
		if g, ok := got.(string); w == Any || ok && matchText(w, g) {
			return nil
		}
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			return matchObject(path, w, g)
		}
	case []any:
		if g, ok := got.([]any); ok {
			return matchList(path, w, g)
		}
	default:
		if want == got {
			return nil
		}
	}
	return fmt.Errorf("%s = %s, want %s", path, show(got), show(want))
}

func matchObject(path string, want, got map[string]any) error {
	_, open := want[Any]
	names := make([]string, 0, len(want)+len(got))
	for n := range want {
		names = append(names, n)
	}
	for n := range got {
		if _, ok := want[n]; !ok {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	for _, n := range names {
		w, wanted := want[n]
		g, present := got[n]
		switch {
		case n == Any:
		case wanted && !present:
			return fmt.Errorf("%s.%s is missing, want %s", path, n, show(w))
		case !wanted && !open:
			return fmt.Errorf("%s.%s = %s, want it absent", path, n, show(g))
		case wanted:
			if err := matchJSON(path+"."+n, w, g); err != nil {
				return err
			}
		}
	}
	return nil
}

func matchList(path string, want, got []any) error {
	rest := len(want) > 0 && want[len(want)-1] == any(Any)
	if rest {
		want = slices.Clip(want[:len(want)-1])
	}
	if len(got) < len(want) || len(got) > len(want) && !rest {
		return fmt.Errorf("%s has %d elements, want %d: %s", path, len(got), len(want), show(got))
	}
	for i := range want {
		if err := matchJSON(fmt.Sprintf("%s[%d]", path, i), want[i], got[i]); err != nil {
			return err
		}
	}
	return nil
}

func show(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
