package region

import "strings"

// places are the letters of the places in the regions' names.
var places = map[string]string{
	"US": "us", "Europe": "eu", "Asia": "as", "Australia": "au", "UK": "uk", "Sweden": "se", "South Africa": "za",
	"India": "in", "Indonesia": "id", "Japan": "jp", "Korea": "kr", "Malaysia": "my", "New Zealand": "nz",
	"Canada": "ca", "Austria": "at", "Belgium": "be", "France": "fr", "Germany": "de", "Italy": "it", "Norway": "no",
	"Poland": "pl", "Spain": "es", "Switzerland": "ch", "Mexico": "mx", "UAE": "ae", "Brazil": "br", "Chile": "cl",
	"Israel": "il", "Qatar": "qa",
}

// compass are the letters of the directions, "central" being one.
var compass = map[string]string{"North": "n", "South": "s", "East": "e", "West": "w", "Central": "c",
	"Southeast": "se", "Northeast": "ne"}

// shorts is made once and never changed.
var shorts = func() map[string]string {
	m := make(map[string]string, len(table))
	for _, r := range table {
		m[r.Name] = short(r.DisplayName)
	}
	return m
}()

// short makes the short form of a display name: a direction gives its
// letter, a place its two letters, a number itself, in the order in which
// they stand.
func short(display string) string {
	var b strings.Builder
	for rest := display; rest != ""; {
		word, after, _ := strings.Cut(rest, " ")
		if second, more, _ := strings.Cut(after, " "); places[word+" "+second] != "" {
			b.WriteString(places[word+" "+second])
			rest = more
			continue
		}
		switch {
		case places[word] != "":
			b.WriteString(places[word])
		case compass[word] != "":
			b.WriteString(compass[word])
		default:
			b.WriteString(strings.ToLower(word))
		}
		rest = after
	}
	return b.String()
}

// Short is the short form of a region as it stands in the service's DNS
// names (data-prod-eus.vaultcore.azure.net): eus for East US, weu for West
// Europe. Those of the regions that the documentation does not show are
// derived as short says; ok is false for a region that is not known.
func Short(name string) (s string, ok bool) { s, ok = shorts[normal(name)]; return s, ok }
