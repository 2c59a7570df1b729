// Package region is the regions of the public cloud: their names, the
// geography they belong to, and the region each is paired with.
package region

import "strings"

// Region is one region.
type Region struct {
	// Name is the short name ("westeurope"), DisplayName the long one.
	Name, DisplayName string
	// Geography is the discrete market that data stays in, Group the part
	// of the world as it is listed.
	Geography, Group string
	// Paired is the name of the paired region; "" for none.
	Paired string
}

// table is sorted as it is listed (documentation: list of Azure regions,
// cross-region replication).
var table = []Region{
	{"eastus", "East US", "United States", "US", "westus"},
	{"eastus2", "East US 2", "United States", "US", "centralus"},
	{"southcentralus", "South Central US", "United States", "US", "northcentralus"},
	{"westus2", "West US 2", "United States", "US", "westcentralus"},
	{"westus3", "West US 3", "United States", "US", "eastus"},
	{"australiaeast", "Australia East", "Australia", "Asia Pacific", "australiasoutheast"},
	{"southeastasia", "Southeast Asia", "Asia Pacific", "Asia Pacific", "eastasia"},
	{"northeurope", "North Europe", "Europe", "Europe", "westeurope"},
	{"swedencentral", "Sweden Central", "Sweden", "Europe", "swedensouth"},
	{"uksouth", "UK South", "United Kingdom", "Europe", "ukwest"},
	{"westeurope", "West Europe", "Europe", "Europe", "northeurope"},
	{"centralus", "Central US", "United States", "US", "eastus2"},
	{"southafricanorth", "South Africa North", "South Africa", "Africa", "southafricawest"},
	{"centralindia", "Central India", "India", "Asia Pacific", "southindia"},
	{"eastasia", "East Asia", "Asia Pacific", "Asia Pacific", "southeastasia"},
	{"indonesiacentral", "Indonesia Central", "Indonesia", "Asia Pacific", ""},
	{"japaneast", "Japan East", "Japan", "Asia Pacific", "japanwest"},
	{"japanwest", "Japan West", "Japan", "Asia Pacific", "japaneast"},
	{"koreacentral", "Korea Central", "Korea", "Asia Pacific", "koreasouth"},
	{"malaysiawest", "Malaysia West", "Malaysia", "Asia Pacific", ""},
	{"newzealandnorth", "New Zealand North", "New Zealand", "Asia Pacific", ""},
	{"canadacentral", "Canada Central", "Canada", "Canada", "canadaeast"},
	{"austriaeast", "Austria East", "Austria", "Europe", ""},
	{"belgiumcentral", "Belgium Central", "Belgium", "Europe", ""},
	{"francecentral", "France Central", "France", "Europe", "francesouth"},
	{"germanywestcentral", "Germany West Central", "Germany", "Europe", "germanynorth"},
	{"italynorth", "Italy North", "Italy", "Europe", ""},
	{"norwayeast", "Norway East", "Norway", "Europe", "norwaywest"},
	{"polandcentral", "Poland Central", "Poland", "Europe", ""},
	{"spaincentral", "Spain Central", "Spain", "Europe", ""},
	{"switzerlandnorth", "Switzerland North", "Switzerland", "Europe", "switzerlandwest"},
	{"mexicocentral", "Mexico Central", "Mexico", "Mexico", ""},
	{"uaenorth", "UAE North", "UAE", "Middle East", "uaecentral"},
	{"brazilsouth", "Brazil South", "Brazil", "South America", "southcentralus"},
	{"chilecentral", "Chile Central", "Chile", "South America", ""},
	{"israelcentral", "Israel Central", "Israel", "Middle East", ""},
	{"qatarcentral", "Qatar Central", "Qatar", "Middle East", ""},
	{"northcentralus", "North Central US", "United States", "US", "southcentralus"},
	{"westus", "West US", "United States", "US", "eastus"},
	{"westcentralus", "West Central US", "United States", "US", "westus2"},
	{"southafricawest", "South Africa West", "South Africa", "Africa", "southafricanorth"},
	{"australiacentral", "Australia Central", "Australia", "Asia Pacific", "australiacentral2"},
	{"australiacentral2", "Australia Central 2", "Australia", "Asia Pacific", "australiacentral"},
	{"australiasoutheast", "Australia Southeast", "Australia", "Asia Pacific", "australiaeast"},
	{"koreasouth", "Korea South", "Korea", "Asia Pacific", "koreacentral"},
	{"southindia", "South India", "India", "Asia Pacific", "centralindia"},
	{"westindia", "West India", "India", "Asia Pacific", "southindia"},
	{"canadaeast", "Canada East", "Canada", "Canada", "canadacentral"},
	{"francesouth", "France South", "France", "Europe", "francecentral"},
	{"germanynorth", "Germany North", "Germany", "Europe", "germanywestcentral"},
	{"norwaywest", "Norway West", "Norway", "Europe", "norwayeast"},
	{"swedensouth", "Sweden South", "Sweden", "Europe", "swedencentral"},
	{"switzerlandwest", "Switzerland West", "Switzerland", "Europe", "switzerlandnorth"},
	{"ukwest", "UK West", "United Kingdom", "Europe", "uksouth"},
	{"uaecentral", "UAE Central", "UAE", "Middle East", "uaenorth"},
	{"brazilsoutheast", "Brazil Southeast", "Brazil", "South America", "brazilsouth"},
}

// byName is made once and never changed.
var byName = func() map[string]Region {
	m := make(map[string]Region, len(table))
	for _, r := range table {
		m[r.Name] = r
	}
	return m
}()

// All lists the regions.
func All() []Region { return append([]Region(nil), table...) }

// normal is a name as it is compared: "West Europe" is "westeurope".
func normal(name string) string { return strings.ToLower(strings.ReplaceAll(name, " ", "")) }

// Find finds a region by its short or long name, letter case and spaces
// ignored.
func Find(name string) (Region, bool) { r, ok := byName[normal(name)]; return r, ok }

// Same reports whether two names mean the same region.
func Same(a, b string) bool { return normal(a) == normal(b) }

// Geography is the geography of a region; "" for one that is not known.
func Geography(name string) string { return byName[normal(name)].Geography }

// List is the short names, as refusals list them.
func List() string {
	names := make([]string, len(table))
	for i, r := range table {
		names[i] = r.Name
	}
	return strings.Join(names, ",")
}
