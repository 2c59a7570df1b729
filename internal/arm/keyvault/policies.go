package keyvault

import (
	"fmt"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/ordered"
	"postern/internal/profile"
)

// words are the permissions an entry may hold, by kind (spec: enums of
// Permissions). all stands for every other word of its list.
var words = []struct {
	kind string
	list []string
}{
	{"keys", []string{"all", "encrypt", "decrypt", "wrapKey", "unwrapKey", "sign", "verify", "get", "list", "create", "update", "import",
		"delete", "backup", "restore", "recover", "purge", "release", "rotate", "getrotationpolicy", "setrotationpolicy"}},
	{"secrets", []string{"all", "get", "list", "set", "delete", "backup", "restore", "recover", "purge"}},
	{"certificates", []string{"all", "get", "list", "delete", "create", "import", "update", "managecontacts", "getissuers", "listissuers",
		"setissuers", "deleteissuers", "manageissuers", "recover", "purge", "backup", "restore"}},
	{"storage", []string{"all", "get", "list", "delete", "set", "update", "regeneratekey", "recover", "purge", "backup", "restore",
		"setsas", "listsas", "getsas", "deletesas"}},
}

// errPolicies is the service's answer for entries it does not take.
func errPolicies() error { return badRequest("An invalid value was provided for 'accessPolicies'.") }

// policyList reads a list of access policies, which must all be of the
// vault's tenant and name each identity once (spec: AccessPolicyEntry).
func policyList(v any, tenant string, p *profile.Profile) ([]any, error) {
	if v == nil {
		return []any{}, nil
	}
	list, ok := v.([]any)
	if !ok || len(list) > p.MaxAccessPolicies {
		return nil, errPolicies()
	}
	seen := map[string]bool{}
	for i := range list {
		entry, ok := list[i].(*ordered.Object)
		if !ok {
			return nil, errPolicies()
		}
		if err := checkPolicy(entry, i, tenant); err != nil {
			return nil, err
		}
		key := identity(entry)
		if seen[key] {
			return nil, errPolicies()
		}
		seen[key] = true
	}
	return list, nil
}

// identity is whom an entry is for: an object, alone or together with an
// application.
func identity(entry *ordered.Object) string {
	return strings.ToLower(entry.Text("objectId") + "/" + entry.Text("applicationId"))
}

func checkPolicy(entry *ordered.Object, i int, tenant string) error {
	if !strings.EqualFold(entry.Text("tenantId"), tenant) {
		return errPolicies()
	}
	if _, err := access.ParseGUID(entry.Text("objectId")); err != nil {
		return badRequest("Invalid value found at accessPolicies[%d].ObjectId: %s", i, describe(entry.Text("objectId")))
	}
	if v, _ := entry.Get("applicationId"); v != nil {
		text, _ := v.(string)
		if _, err := access.ParseGUID(text); err != nil {
			return badRequest("Invalid value found at accessPolicies[%d].ApplicationId: %s", i, describe(v))
		}
	} else {
		entry.Delete("applicationId")
	}
	permissions := entry.Object("permissions")
	if permissions == nil {
		return errPolicies()
	}
	for _, w := range words {
		if err := checkWords(permissions, w.kind, w.list); err != nil {
			return err
		}
	}
	entry.Set("permissions", permissions)
	return nil
}

// checkWords checks one list of permissions; null is no list.
func checkWords(permissions *ordered.Object, kind string, known []string) error {
	v, ok := permissions.Get(kind)
	if !ok {
		return nil
	}
	if v == nil {
		permissions.Delete(kind)
		return nil
	}
	list, ok := v.([]any)
	if !ok || len(list) > 4*len(known) {
		return errPolicies()
	}
	for _, item := range list {
		text, ok := item.(string)
		if !ok || !slices.ContainsFunc(known, func(w string) bool { return strings.EqualFold(w, text) }) {
			return errPolicies()
		}
	}
	permissions.Set(kind, list)
	return nil
}

// changePolicies applies add, replace or remove to the entries of a vault
// (spec: Vaults_UpdateAccessPolicy). Entries of other identities stay.
func changePolicies(kind string, have, change []any) []any {
	next := slices.Clone(have)
	for _, item := range change {
		entry := item.(*ordered.Object)
		at := slices.IndexFunc(next, func(v any) bool {
			o, ok := v.(*ordered.Object)
			return ok && identity(o) == identity(entry)
		})
		switch {
		case at < 0 && kind != "remove":
			next = append(next, entry)
		case at < 0:
		case kind == "replace":
			next[at] = entry
		case kind == "add":
			next[at] = withWords(next[at].(*ordered.Object), entry)
		default:
			if left := withoutWords(next[at].(*ordered.Object), entry); left != nil {
				next[at] = left
			} else {
				next = slices.Delete(next, at, at+1)
			}
		}
	}
	return next
}

// permissionList is a list of permissions of an entry.
func permissionList(entry *ordered.Object, kind string) []string {
	v, _ := entry.Object("permissions").Get(kind)
	items, _ := v.([]any)
	list := make([]string, 0, len(items))
	for _, item := range items {
		list = append(list, fmt.Sprint(item))
	}
	return list
}

func holds(list []string, word string) bool {
	return slices.ContainsFunc(list, func(w string) bool { return strings.EqualFold(w, word) })
}

func setList(entry *ordered.Object, kind string, list []string) {
	items := make([]any, len(list))
	for i := range list {
		items[i] = list[i]
	}
	entry.Object("permissions").Set(kind, items)
}

// withWords is the entry with the permissions of another added.
func withWords(entry, more *ordered.Object) *ordered.Object {
	next := entry.Clone()
	for _, w := range words {
		list := permissionList(next, w.kind)
		for _, word := range permissionList(more, w.kind) {
			if !holds(list, word) {
				list = append(list, word)
			}
		}
		if len(list) > 0 {
			setList(next, w.kind, list)
		}
	}
	return next
}

// withoutWords is the entry without the permissions of another, or nil when
// nothing is left or the other names no permission at all. A word taken from
// "all" leaves the others.
func withoutWords(entry, less *ordered.Object) *ordered.Object {
	next := entry.Clone()
	named, left := 0, 0
	for _, w := range words {
		remove := permissionList(less, w.kind)
		named += len(remove)
		list := permissionList(next, w.kind)
		if len(remove) > 0 && holds(list, "all") {
			list = slices.Clone(w.list[1:])
		}
		if len(remove) > 0 {
			list = slices.DeleteFunc(list, func(word string) bool { return holds(remove, word) || holds(remove, "all") })
			setList(next, w.kind, list)
		}
		left += len(list)
	}
	if named == 0 || left == 0 {
		return nil
	}
	return next
}
