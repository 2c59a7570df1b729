package posture

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"postern/internal/estate"
	"postern/internal/iac"
)

// estate is everything that was read as resources of an estate: the vault in
// question, and all others that a decision about it can rest on.
func (x *explaining) estate() []*estate.Resource {
	id := x.ID
	if id == "" {
		id = unknownID + x.subject.name()
	}
	body, _ := x.Body.JSON()
	list := []*estate.Resource{{ID: id, Type: estate.TypeVault, Name: x.subject.name(), Location: x.Body.Get("location").Text,
		Body: body, Source: x.Body.At.String()}}
	for _, r := range x.all {
		if r.ID == "" || r == x.Resource {
			continue // what has no id is named by nothing
		}
		assignment, network := r.Type == iac.TypeRoleAssignment, ofNetwork(r.Type)
		if !assignment && !network && r.Type != iac.TypeVault {
			continue
		}
		body, unread := r.Body.JSON()
		if assignment && (len(unread) > 0 || x.held(r)) {
			continue // assignmentsRead speaks of the unread
		}
		if strings.EqualFold(r.Type, estate.TypePrivateEndpoint) {
			body = x.addressed(r, body)
		}
		list = append(list, &estate.Resource{ID: r.ID, Type: r.Type, Name: lastSegment(r.ID), Location: r.Body.Get("location").Text, Body: body, Source: r.Body.At.String()})
	}
	return list
}

func ofNetwork(typ string) bool { return strings.HasPrefix(strings.ToLower(typ), "microsoft.network/") }

// addressed is a private endpoint's document with its address where the
// estate looks for it. The service empties customDnsConfigs once a zone group
// has the records; the interface has the address then.
func (x *explaining) addressed(r *iac.Resource, body json.RawMessage) json.RawMessage {
	if len(r.Property("customDnsConfigs").Items) > 0 {
		return body
	}
	var addresses []string
	for _, nic := range r.Property("networkInterfaces").Items {
		for _, other := range x.all {
			if !iac.SameFold(other.ID, nic.Get("id").Text) || other.ID == "" {
				continue
			}
			for _, c := range other.Property("ipConfigurations").Items {
				if a := c.Get("properties", "privateIPAddress"); a.Kind == iac.String {
					addresses = append(addresses, a.Text)
				}
			}
		}
	}
	var doc map[string]json.RawMessage
	var properties map[string]any
	if len(addresses) == 0 || json.Unmarshal(body, &doc) != nil || json.Unmarshal(doc["properties"], &properties) != nil {
		return body
	}
	properties["customDnsConfigs"] = []map[string]any{{"ipAddresses": addresses}}
	inner, err := json.Marshal(properties)
	if err != nil {
		return body
	}
	doc["properties"] = inner
	out, err := json.Marshal(doc)
	if err != nil {
		return body
	}
	return out
}

// held reports whether a role assignment does not count yet, and keeps it
// for the causes.
func (x *explaining) held(r *iac.Resource) bool {
	at, err := time.Parse(time.RFC3339, r.Property("createdOn").Text)
	counts := at.Add(x.question.RoleDelay)
	if err != nil || x.question.RoleDelay == 0 || !counts.After(x.question.Now) || !iac.SameFold(r.Property("principalId").Text, x.request.Caller.Object.String()) {
		return false
	}
	if x.question.Whole {
		x.late = append(x.late, Cause{"role-not-propagated", fmt.Sprintf("the role assignment %s was made at %s and counts from %s on: wait and try again",
			lastSegment(r.ID), at.UTC().Format(time.TimeOnly), counts.UTC().Format(time.TimeOnly)), nil})
		return true
	}
	x.note(fmt.Sprintf("the role assignment %s is %s old; in Azure it may take %s until it counts", lastSegment(r.ID),
		x.question.Now.Sub(at).Round(time.Second), x.question.RoleDelay))
	return false
}

// identityCauses are why a caller who seems to hold a right is not known to
// hold it (document: Managed identity not propagated).
func (x *explaining) identityCauses() []Cause {
	causes := x.late
	if x.question.Unknown {
		causes = append(causes, Cause{"identity-unknown", fmt.Sprintf("the directory does not know %s: a managed identity that was just made is known after 5 to 10 minutes, "+
			"and a client id is no object id; check the principal id, and retry", x.request.Caller.Object),
			[]string{fmt.Sprintf("az ad sp show --id %s --query id --output tsv", x.request.Caller.Object)}})
	}
	return causes
}
