package arm

import (
	"strings"

	"postern/internal/ordered"
)

// Operations answers with the actions and data actions of a provider, each
// once; they are no secret (spec: common-types v5, OperationListResult).
func Operations(provider string, routes []Route, data []string) *Answer {
	var list []*ordered.Object
	seen := map[string]bool{"": true}
	add := func(action string, data bool) {
		if seen[action] {
			return
		}
		seen[action] = true
		parts := strings.Split(action, "/")
		list = append(list, ordered.New(
			ordered.Member{Name: "name", Value: action},
			ordered.Member{Name: "isDataAction", Value: data},
			ordered.Member{Name: "origin", Value: "user,system"},
			ordered.Member{Name: "display", Value: ordered.New(
				ordered.Member{Name: "provider", Value: provider},
				ordered.Member{Name: "resource", Value: strings.Join(parts[1:len(parts)-1], "/")},
				ordered.Member{Name: "operation", Value: parts[len(parts)-1]},
				ordered.Member{Name: "description", Value: action})}))
	}
	for _, r := range routes {
		add(r.Action, false)
	}
	for _, action := range data {
		add(action, true)
	}
	return List(list)
}
