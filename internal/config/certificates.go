package config

import "net/url"

// Certificates is who issues certificates, beside the vaults themselves.
type Certificates struct {
	ACME ACME `yaml:"acme"`
}

// ACME is the certificate authority of issuers with the provider ACME (RFC
// 8555).
type ACME struct {
	Directory string   `yaml:"directory" env:"POSTERN_ACME" flag:"acme" doc:"URL of the directory of an ACME server (RFC 8555); empty for none. It certifies what issuers of vaults with the provider ACME are asked for."`
	Terms     string   `yaml:"terms" doc:"accepted says that you agree to the ACME server's terms of service; without it a server that has some certifies nothing."`
	Hosts     []string `yaml:"hosts" doc:"Hosts that the ACME server may be asked to certify: contoso.com, *.contoso.com for what is below it, * for every one. No others are asked for, and none that this server answers by itself."`
	CAFile    string   `yaml:"caFile" doc:"File with the authorities (PEM) that certify the ACME server itself, in place of the system's."`
	Challenge string   `yaml:"challenge" env:"POSTERN_ACME_CHALLENGE" flag:"acme-challenge" doc:"Address of the listener (plain HTTP) with the answers to the ACME server's challenges (http-01), HOST:PORT, or off. The ACME server comes to port 80 of the names to certify."`
}

// TermsAccepted is the value of ACME.Terms that means yes.
const TermsAccepted = "accepted"

func (a *ACME) check(complain func(string, ...any)) {
	if a.Terms != "" && a.Terms != TermsAccepted {
		complain("certificates.acme.terms: %q is neither accepted nor empty", a.Terms)
	}
	if a.Directory == "" {
		return
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		complain("certificates.acme.directory: %q is not an https URL", a.Directory)
	}
	if len(a.Hosts) == 0 {
		complain("certificates.acme.hosts: certificates.acme.directory needs a list of the hosts that may be certified, such as contoso.com or '*.contoso.com'")
	}
	if a.Challenge == Off {
		complain("certificates.acme.challenge: certificates.acme.directory needs a listener for the answers to its challenges, such as 0.0.0.0:80")
	}
}
