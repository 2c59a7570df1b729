package contract

import "strings"

// secrets drives the twelve operations of secrets.
func secrets(d driver) {
	first := d.send(200, "PUT", "/secrets/s", fields{"value": "one", "contentType": "text/plain", "tags": fields{"a": "b"},
		"attributes": fields{"enabled": true, "nbf": 1500000000, "exp": 4000000000}})
	first.expect("attributes.exp", 4000000000)
	version := first.versionOf("id")
	d.send(200, "PUT", "/secrets/s", fields{"value": "two"})
	for path, want := range map[string]string{"/secrets/s": "two", "/secrets/s/": "two", "/secrets/s/" + version: "one"} {
		d.send(200, "GET", path, nil).expect("value", want)
	}
	d.send(404, "GET", "/secrets/s/"+strings.Repeat("0", 32), nil).expect("error.code", "SecretNotFound")
	d.send(200, "PATCH", "/secrets/s/"+version, fields{"attributes": fields{"enabled": false}, "contentType": "b", "tags": fields{}}).expect("value", nil)
	d.send(403, "GET", "/secrets/s/"+version, nil).expect("error.innererror.code", "SecretDisabled")
	d.send(200, "PUT", "/secrets/another", fields{"value": "x"})
	for path, want := range map[string]int{"/secrets": 2, "/secrets?maxresults=1": 2, "/secrets/s/versions": 2, "/secrets/s/versions?maxresults=1": 2} {
		if got := len(d.all(path)); got != want {
			d.t.Errorf("%s has %d items, want %d", path, got, want)
		}
	}
	backup := d.send(200, "POST", "/secrets/s/backup", nil).text("value")
	d.send(409, "POST", "/secrets/restore", fields{"value": backup})
	d.send(200, "DELETE", "/secrets/s", nil).text("recoveryId")
	d.send(200, "DELETE", "/secrets/another", nil)
	d.send(409, "PUT", "/secrets/s", fields{"value": "x"}).expect("error.innererror.code", "ObjectIsDeletedButRecoverable")
	d.send(200, "GET", "/deletedsecrets/s", nil).text("recoveryId")
	if got := len(d.all("/deletedsecrets?maxresults=1")); got != 2 {
		d.t.Errorf("%d deleted secrets, want 2", got)
	}
	d.send(200, "POST", "/deletedsecrets/another/recover", nil)
	d.send(204, "DELETE", "/deletedsecrets/s", nil)
	d.send(200, "POST", "/secrets/restore", fields{"value": backup})
	d.send(200, "GET", "/secrets/s", nil).expect("value", "two")
	d.send(400, "POST", "/secrets/restore", fields{"value": "AAAA"}).expect("error.code", "Malformed backup blob")
	d.send(400, "PUT", "/secrets/s_s", fields{"value": "x"}).expect("error.code", "BadParameter")
	d.send(400, "PUT", "/secrets/s", fields{})
	d.send(400, "PATCH", "/secrets/s/"+version, fields{"attributes": fields{"enabled": "no"}})
	d.send(400, "GET", "/secrets?maxresults=26", nil)
	d.send(400, "GET", "/deletedsecrets?maxresults=0", nil)
	d.send(400, "GET", "/secrets/s/versions?$skiptoken=x", nil)
}
