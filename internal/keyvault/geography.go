package keyvault

import "strings"

// geographies are the regions of the public cloud by the geography within
// which a backup can be restored (documentation: general/backup). A region
// that is not listed is a geography of its own, the strictest reading.
var geographies = map[string][]string{
	"United States": {"centralus", "eastus", "eastus2", "eastus3", "northcentralus", "southcentralus", "westcentralus", "westus",
		"westus2", "westus3"},
	"Europe":               {"northeurope", "westeurope"},
	"United Kingdom":       {"uksouth", "ukwest"},
	"France":               {"francecentral", "francesouth"},
	"Germany":              {"germanynorth", "germanywestcentral"},
	"Switzerland":          {"switzerlandnorth", "switzerlandwest"},
	"Norway":               {"norwayeast", "norwaywest"},
	"Sweden":               {"swedencentral", "swedensouth"},
	"Canada":               {"canadacentral", "canadaeast"},
	"Brazil":               {"brazilsouth", "brazilsoutheast"},
	"Asia Pacific":         {"eastasia", "southeastasia"},
	"Australia":            {"australiacentral", "australiacentral2", "australiaeast", "australiasoutheast"},
	"India":                {"centralindia", "southindia", "westindia", "jioindiacentral", "jioindiawest"},
	"Japan":                {"japaneast", "japanwest"},
	"Korea":                {"koreacentral", "koreasouth"},
	"South Africa":         {"southafricanorth", "southafricawest"},
	"United Arab Emirates": {"uaecentral", "uaenorth"},
}

// geographyOf is the same by region.
var geographyOf = map[string]string{}

func init() {
	for g, regions := range geographies {
		for _, r := range regions {
			geographyOf[r] = g
		}
	}
}

// geography is that of a region, which may be spelt "East US".
func geography(region string) string {
	if g, ok := geographyOf[region]; ok {
		return g
	}
	region = strings.ToLower(strings.ReplaceAll(region, " ", ""))
	if g, ok := geographyOf[region]; ok {
		return g
	}
	return region
}
