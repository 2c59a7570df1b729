// Package eventgrid tells webhooks what happens to the objects of vaults, in
// the form of Azure Event Grid: a new version, an expiry that is near, one
// that has come.
//
// The package knows the forms of events and the manners of delivery: the
// handshake by which a webhook shows that it wants events, the headers, and
// which answers mean that it is worth trying again. What is still to be
// delivered is kept by whoever calls it.
package eventgrid

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Type is what has happened (documentation: event-schema-key-vault).
type Type string

// The events of a vault's objects.
const (
	CertificateNewVersion Type = "Microsoft.KeyVault.CertificateNewVersionCreated"
	CertificateNearExpiry Type = "Microsoft.KeyVault.CertificateNearExpiry"
	CertificateExpired    Type = "Microsoft.KeyVault.CertificateExpired"
	KeyNewVersion         Type = "Microsoft.KeyVault.KeyNewVersionCreated"
	KeyNearExpiry         Type = "Microsoft.KeyVault.KeyNearExpiry"
	KeyExpired            Type = "Microsoft.KeyVault.KeyExpired"
	SecretNewVersion      Type = "Microsoft.KeyVault.SecretNewVersionCreated"
	SecretNearExpiry      Type = "Microsoft.KeyVault.SecretNearExpiry"
	SecretExpired         Type = "Microsoft.KeyVault.SecretExpired"
)

// Types are all of them.
func Types() []Type {
	return []Type{CertificateNewVersion, CertificateNearExpiry, CertificateExpired, KeyNewVersion, KeyNearExpiry, KeyExpired,
		SecretNewVersion, SecretNearExpiry, SecretExpired}
}

// Known finds a type by its name, whatever the case of its letters, with or
// without "Microsoft.KeyVault." in front.
func Known(name string) (Type, bool) {
	for _, t := range Types() {
		if strings.EqualFold(name, string(t)) || strings.EqualFold("Microsoft.KeyVault."+name, string(t)) {
			return t, true
		}
	}
	return "", false
}

// Event is one thing that has happened. It holds nothing secret.
type Event struct {
	// ID is the same for every attempt to deliver the event.
	ID   string
	Type Type
	Time time.Time
	// Topic is the ARM id of the vault, Vault its name.
	Topic, Vault string
	// URL is the identifier of the object's version.
	URL           string
	Name, Version string
	// NotBefore and Expires are unix seconds; nil where the version has none.
	NotBefore, Expires *int64
}

// objectType is the kind of the object as events name it.
func (e *Event) objectType() string {
	word := strings.TrimPrefix(string(e.Type), "Microsoft.KeyVault.")
	for _, kind := range [...]string{"Certificate", "Key", "Secret"} {
		if strings.HasPrefix(word, kind) {
			return kind
		}
	}
	return ""
}

// data is the part of an event that both schemas have.
type data struct {
	ID         string `json:"Id"`
	VaultName  string
	ObjectType string
	ObjectName string
	Version    string
	NBF, EXP   *int64
}

func (e *Event) data() data {
	return data{e.URL, e.Vault, e.objectType(), e.Name, e.Version, e.NotBefore, e.Expires}
}

// Schema is the form in which events are sent.
type Schema string

// The schemas, by the names that Event Grid gives them.
const (
	GridSchema  Schema = "EventGridSchema"
	CloudSchema Schema = "CloudEventSchemaV1_0"
)

// contentType is the media type of what is sent.
func (s Schema) contentType() string {
	if s == CloudSchema {
		return "application/cloudevents+json; charset=utf-8"
	}
	return "application/json; charset=utf-8"
}

// stamp is a time as events have it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

// encode writes one event as its schema has it: Event Grid sends a list, of
// a cloud event the thing itself.
func (s Schema) encode(e *Event) ([]byte, error) {
	at := stamp(e.Time)
	if s == CloudSchema {
		return json.Marshal(struct {
			ID          string `json:"id"`
			Source      string `json:"source"`
			SpecVersion string `json:"specversion"`
			Type        Type   `json:"type"`
			Subject     string `json:"subject"`
			Time        string `json:"time"`
			Data        data   `json:"data"`
		}{e.ID, e.Topic, "1.0", e.Type, e.Name, at, e.data()})
	}
	return json.Marshal([]any{struct {
		ID              string `json:"id"`
		Topic           string `json:"topic"`
		Subject         string `json:"subject"`
		EventType       Type   `json:"eventType"`
		Data            data   `json:"data"`
		DataVersion     string `json:"dataVersion"`
		MetadataVersion string `json:"metadataVersion"`
		EventTime       string `json:"eventTime"`
	}{e.ID, e.Topic, e.Name, e.Type, e.data(), "1", "1", at}})
}

// Filter is what a webhook wants to hear of; the zero value is everything.
type Filter struct {
	// Vaults are names of vaults, Types what happens; empty is all of them.
	Vaults []string
	Types  []Type
}

// Wants reports whether an event of a vault passes.
func (f *Filter) Wants(vault string, t Type) bool {
	return (len(f.Vaults) == 0 || slices.ContainsFunc(f.Vaults, func(name string) bool { return strings.EqualFold(name, vault) })) &&
		(len(f.Types) == 0 || slices.Contains(f.Types, t))
}

// ParseSchema reads the name of a schema; "" is Event Grid's own.
func ParseSchema(name string) (Schema, error) {
	switch {
	case name == "" || strings.EqualFold(name, string(GridSchema)):
		return GridSchema, nil
	case strings.EqualFold(name, string(CloudSchema)):
		return CloudSchema, nil
	}
	return "", fmt.Errorf("eventgrid: no schema %q; hint: it is %s or %s", name, GridSchema, CloudSchema)
}
