package issuance

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// TestSubjects: how a subject is read, and how it is written back.
func TestSubjects(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"CN=contoso.com", "CN=contoso.com"},
		{"CN=contoso.com, O=Contoso, C=US", "CN=contoso.com, O=Contoso, C=US"},
		{"cn = contoso.com ,o= Contoso;c=us", "CN=contoso.com, O=Contoso, C=us"},
		{`O="Contoso, Ltd.", CN=contoso.com`, `O="Contoso, Ltd.", CN=contoso.com`},
		{`O=Contoso\, Ltd., CN=contoso.com`, `O="Contoso, Ltd.", CN=contoso.com`},
		{`O="The ""best"""`, `O="The ""best"""`}, {`O=The \"best\"`, `O="The ""best"""`},
		{`CN=DOMAIN\user`, `CN="DOMAIN\user"`}, {`CN="a\"`, `CN="a\"`}, {`CN=a\\b`, `CN="a\b"`},
		{"CN=a+OU=b, DC=contoso, DC=com", "CN=a + OU=b, DC=contoso, DC=com"},
		{"E=a@b.com, EMAILADDRESS=c@d.com", "E=a@b.com, E=c@d.com"},
		{"ST=Bavaria, S=Hesse, STREET=Main 1", "S=Bavaria, S=Hesse, STREET=Main 1"},
		{"SERIALNUMBER=42, T=Dr, G=A, SN=B, I=AB", "SERIALNUMBER=42, T=Dr, G=A, SN=B, I=AB"},
		{"2.5.4.3=a, OID.1.2.3=b", "CN=a, OID.1.2.3=b"}, {"CN=a=b", `CN="a=b"`}, {`CN=" a "`, `CN=" a "`}, {`CN=a\ `, `CN="a "`},
		{"O=Müller & Söhne, CN=*.contoso.com", "O=Müller & Söhne, CN=*.contoso.com"}, {`CN="#1"`, `CN="#1"`}, {"CN=東京", "CN=東京"},
	} {
		n, err := parseSubject(c.in)
		if err != nil || n.String() != c.out {
			t.Errorf("parseSubject(%s) = %v, %v, want %s", c.in, n, err, c.out)
		}
	}
}

func TestSubjectIsRefused(t *testing.T) {
	for _, c := range []struct{ in, reason string }{
		{"contoso.com", "equals sign"}, {"", "equals sign"}, {"CN=", "no value"}, {`CN=""`, "no value"}, {"CN=a,", "equals sign"}, {"CN=a,,O=b", "no attribute"},
		{"O=Contoso, Ltd., CN=contoso.com", "no attribute"}, {"XY=a", "no attribute"}, {"1.2.x=a", "no attribute"}, {"=a", "no attribute"},
		{`CN="a`, "not closed"}, {`CN="a"b`, "follows"}, {`CN=a"b`, "inside a value"}, {"CN=#0c0161", "begins with #"},
		{"C=USA", "2"}, {"C=U_", "two letters"}, {"CN=" + strings.Repeat("a", 65), "65 characters"}, {"DC=ä", "not ASCII"},
		{"CN=a\x00b", "control"}, {"CN=a\nb", "control"}, {"CN=\xff", "UTF-8"}, {"CN=a+", "equals sign"},
		{"O=" + strings.Repeat("a", maxSubject), "bytes"}, {strings.TrimSuffix(strings.Repeat("DC=a,", maxAttributes+1), ","), "attributes"},
	} {
		_, err := parseSubject(c.in)
		var bad *Invalid
		if !errors.As(err, &bad) || bad.Property != propertySubject || !strings.Contains(bad.Reason, c.reason) {
			t.Errorf("parseSubject(%.40q) = %v, want a refusal that says %q", c.in, err, c.reason)
		}
	}
}

// TestSubjectsInCertificates: the certificate's order is the reverse of the
// text's, and the kinds of strings are those of recorded requests.
func TestSubjectsInCertificates(t *testing.T) {
	for _, c := range []struct{ in, der string }{
		{"CN=MyCert", "3011310f300d060355040313064d7943657274"},
		{"CN=*.microsoft.com", "301a311830160603550403" + "0c0f2a2e6d6963726f736f66742e636f6d"},
		{"CN=a, C=US", "3019310b3009060355040613025553310a3008060355040313" + "0161"},
		{"OU=b+CN=a", "3016" + "3114" + "30080603550403130161" + "3008060355040b130162"},
		{"E=a@b.c", "301631143012" + "06092a864886f70d010901" + "1605614062" + "2e63"},
	} {
		n, err := parseSubject(c.in)
		if err != nil {
			t.Fatal(err)
		}
		der, err := n.der()
		if got := hex.EncodeToString(der); err != nil || got != c.der {
			t.Errorf("der(%s) = %s, %v, want %s", c.in, got, err, c.der)
		}
	}
}

// TestForeignSubjects: strings that only other programs write.
func TestForeignSubjects(t *testing.T) {
	for _, c := range []struct{ der, want string }{
		{"300f310d300b0603550403" + "1e0400410042", "CN=AB"}, {"300d310b30090603550403" + "14" + "02" + "61fc", "CN=aü"},
		{"300b310930070603550403" + "0500", "CN=#0500"}, {"300b310930070603550403" + "0c00", `CN=""`}, {"3000", ""},
	} {
		der, err := hex.DecodeString(c.der)
		if err != nil {
			t.Fatal(err)
		}
		n, err := readName(der)
		if err != nil || n.String() != c.want {
			t.Errorf("readName(%s) = %v, %v, want %s", c.der, n, err, c.want)
		}
	}
}

// FuzzParseSubject: what is read is written so that it is read again as the
// same, also by way of a certificate.
func FuzzParseSubject(f *testing.F) {
	for _, s := range []string{"CN=contoso.com, O=\"Contoso, Ltd.\", C=US", `CN=a\,b+OU="c""d";DC=e`, `OID.1.2.3=x, E=a@b.c`, `CN=DOMAIN\user, S= a b `, "CN=#", `O="`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseSubject(s)
		if err != nil {
			var bad *Invalid
			if !errors.As(err, &bad) {
				t.Fatalf("parseSubject(%q) = %v, want an *Invalid", s, err)
			}
			return
		}
		der, err := n.der()
		if err != nil {
			t.Fatal(err)
		}
		back, err := readName(der)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseSubject(back.String())
		if err != nil && len(back.String()) <= maxSubject {
			t.Fatalf("parseSubject(%q), which %q is written as, = %v", back, s, err)
		}
		if err != nil {
			return
		}
		if second, err := again.der(); err != nil || string(second) != string(der) {
			t.Fatalf("%q was written as %q and read as %q: %v", s, back, again, err)
		}
	})
}
