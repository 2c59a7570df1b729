package config

// Webhook is somebody who is told what happens to the objects of vaults. Its
// fields are those of the list events.webhooks in the file.
type Webhook struct {
	// Name tells it from others.
	Name string `yaml:"name" json:"name"`
	// URL is where events are sent.
	URL string `yaml:"url" json:"url"`
	// Schema is EventGridSchema, which "" is too, or CloudEventSchemaV1_0.
	Schema string `yaml:"schema" json:"schema,omitempty"`
	// Vaults and Types are what it wants to hear of; none is all.
	Vaults []string `yaml:"vaults" json:"vaults,omitempty"`
	Types  []string `yaml:"types" json:"types,omitempty"`
	// CAFile holds the authorities that vouch for its host.
	CAFile string `yaml:"caFile" json:"caFile,omitempty"`
	// Header is sent with every request, its value is in HeaderFile.
	Header     string `yaml:"header" json:"header,omitempty"`
	HeaderFile string `yaml:"headerFile" json:"headerFile,omitempty"`
}
