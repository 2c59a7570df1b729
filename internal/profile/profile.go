// Package profile is what differs between the documents a server can be held
// to: limits, defaults and lists, as data.
//
// Code asks a profile for a limit; it never asks which profile it is.
package profile

import "strings"

// Profile is one set of answers.
type Profile struct {
	// Name is the word of the configuration: "azure", "documents".
	Name string
	// MaxIPRules and MaxSubnetRules bound networkAcls.
	MaxIPRules, MaxSubnetRules int
	// SmallRanges accepts /31 and /32 in IP rules and shows a single address
	// as a /32; without it they are refused, and single addresses stay as
	// they were written.
	SmallRanges bool
	// MaxAccessPolicies bounds properties.accessPolicies.
	MaxAccessPolicies int
	// PolicyListRequired refuses to create a vault on access policies
	// without the list of them.
	PolicyListRequired bool
	// PurgeProtection is what a new vault gets that does not say.
	PurgeProtection bool
	// TrustedServices names the list of trusted services.
	TrustedServices string
}

var profiles = [...]Profile{
	{Name: "azure", MaxIPRules: 1000, MaxSubnetRules: 200, SmallRanges: true, MaxAccessPolicies: 1024,
		PolicyListRequired: true, TrustedServices: "azure"},
	{Name: "documents", MaxIPRules: 127, MaxSubnetRules: 127, MaxAccessPolicies: 1024,
		PurgeProtection: true, TrustedServices: "documents"},
}

// Azure is the service as it is today, and the default.
func Azure() *Profile { p := profiles[0]; return &p }

// Documents is the service as the source documents describe it.
func Documents() *Profile { p := profiles[1]; return &p }

// Named finds a profile by its name; letter case does not matter, and "" is
// the default.
func Named(name string) (*Profile, bool) {
	if name == "" {
		return Azure(), true
	}
	for i := range profiles {
		if strings.EqualFold(profiles[i].Name, name) {
			p := profiles[i]
			return &p, true
		}
	}
	return nil, false
}
