package posture

import (
	"encoding/json"
	"fmt"
	"strings"

	"postern/internal/estate"
	"postern/internal/iac"
)

// subnetUse is what a subnet's document says beyond what decisions need.
type subnetUse struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Properties struct {
		ServiceEndpoints []struct {
			Service string `json:"service"`
		} `json:"serviceEndpoints"`
		Delegations []struct {
			Properties struct {
				Service string `json:"serviceName"`
			} `json:"properties"`
		} `json:"delegations"`
	} `json:"properties"`
}

// use reads a subnet's document: a part of its network's, or of its own.
func (x *explaining) use(s *estate.Subnet) subnetUse {
	if r, ok := x.snapshot.Resource(s.ID); ok {
		var doc subnetUse
		_ = json.Unmarshal(r.Body, &doc) // what cannot be read says nothing
		return doc
	}
	var network struct {
		Properties struct {
			Subnets []subnetUse `json:"subnets"`
		} `json:"properties"`
	}
	if r, ok := x.snapshot.Resource(s.Network.ID); ok {
		_ = json.Unmarshal(r.Body, &network)
	}
	for _, sub := range network.Properties.Subnets {
		if strings.EqualFold(sub.Name, s.Name) || estate.Key(sub.ID) == s.Key {
			return sub
		}
	}
	return subnetUse{}
}

// subnetServices are the service endpoints that a subnet has, for a command:
// az replaces the list.
func (x *explaining) subnetServices(s *estate.Subnet) []string {
	var list []string
	for _, e := range x.use(s).Properties.ServiceEndpoints {
		if name := plain(e.Service, ""); name != "" {
			list = append(list, name)
		}
	}
	return list
}

const (
	appServicePlans = "Microsoft.Web/serverFarms"
	typeSite        = "Microsoft.Web/sites"
)

// appCauses is a hint for App Service: an app asks its network's DNS, and
// sends its requests through the network, only when it is told to (document:
// App Service with VNet Integration).
func (x *explaining) appCauses() []Cause {
	s := x.way.Subnet
	if s == nil || x.way.Place.Kind == ByEndpoint {
		return nil
	}
	var causes []Cause
	sites := 0
	for _, r := range x.all {
		if !iac.SameFold(r.Type, typeSite) || estate.Key(r.Property("virtualNetworkSubnetId").Text) != s.Key {
			continue
		}
		sites++
		if missing := missingSettings(r); len(missing) > 0 {
			causes = append(causes, Cause{"app-service-dns", fmt.Sprintf("the app %s is integrated with the subnet, but does not send everything through it or ask its DNS", r.Label()),
				[]string{settings(plain(r.Label(), "APP"), plain(r.Group, "GROUP"), missing)}})
		}
	}
	if sites > 0 {
		return causes
	}
	for _, d := range x.use(s).Properties.Delegations {
		if strings.EqualFold(d.Properties.Service, appServicePlans) {
			return []Cause{{"app-service-dns", fmt.Sprintf("hint: the subnet %s is App Service's; an app resolves and connects through it only with these settings", subnetName(s)),
				[]string{settings("APP", "GROUP", []string{"WEBSITE_VNET_ROUTE_ALL=1", "WEBSITE_DNS_SERVER=168.63.129.16"})}}}
		}
	}
	return nil
}

// missingSettings are the settings that an app lacks, as far as its document
// tells: the service does not show application settings with an app.
func missingSettings(r *iac.Resource) []string {
	have := map[string]string{}
	config := r.Property("siteConfig")
	for _, item := range config.Get("appSettings").Items {
		have[strings.ToUpper(item.Get("name").Text)] = item.Get("value").Text
	}
	var missing []string
	routed := have["WEBSITE_VNET_ROUTE_ALL"] == "1"
	for _, n := range []*iac.Node{config.Get("vnetRouteAllEnabled"), r.Property("vnetRouteAllEnabled"), r.Property("outboundVnetRouting", "allTraffic"),
		r.Property("outboundVnetRouting", "applicationTraffic")} {
		routed = routed || n.Kind == iac.Bool && n.Text == "true"
	}
	if !routed {
		missing = append(missing, "WEBSITE_VNET_ROUTE_ALL=1")
	}
	if config.Get("appSettings").Kind == iac.Array && have["WEBSITE_DNS_SERVER"] != platformDNS.String() {
		missing = append(missing, "WEBSITE_DNS_SERVER="+platformDNS.String())
	}
	return missing
}

func settings(app, group string, values []string) string {
	return fmt.Sprintf("az webapp config appsettings set --resource-group %s --name %s --settings %s", group, app, strings.Join(values, " "))
}
