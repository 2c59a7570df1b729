package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// Read calls fn with each record of a journal, in order; fn's error ends it.
// It does not check the chain: that is Verify's.
func Read(dir string, fn func(*Record) error) error {
	return readLines(dir, 0, func(body []byte) error {
		r, err := decodeRecord(append(bytes.Clone(body), '}'))
		if err != nil {
			return fmt.Errorf("reading a record: %w", err)
		}
		return fn(r)
	})
}

// recordJSON is a line as encoding/json reads it.
type recordJSON struct {
	Time              string `json:"time"`
	ResourceID        string `json:"resourceId"`
	OperationName     string `json:"operationName"`
	OperationVersion  string `json:"operationVersion"`
	Category          string `json:"category"`
	ResultType        string `json:"resultType"`
	ResultSignature   string `json:"resultSignature"`
	ResultDescription string `json:"resultDescription"`
	DurationMs        string `json:"durationMs"`
	CallerIPAddress   string `json:"callerIpAddress"`
	CorrelationID     string `json:"correlationId"`
	Identity          struct {
		Claim struct {
			Object     string `json:"oid"`
			App        string `json:"appid"`
			Issuer     string `json:"iss"`
			UPN        string `json:"upn"`
			Type       string `json:"idtyp"`
			ResourceID string `json:"xms_mirid"`
		} `json:"claim"`
	} `json:"identity"`
	Properties json.RawMessage `json:"properties"`
}

// decodeRecord reads what appendBody wrote.
func decodeRecord(b []byte) (*Record, error) {
	var w recordJSON
	if err := json.Unmarshal(b, &w); err != nil {
		return nil, err
	}
	at, err := time.Parse(timeLayout, w.Time)
	if err != nil {
		return nil, err
	}
	ms, err := strconv.ParseInt(w.DurationMs, 10, 64)
	if err != nil {
		return nil, err
	}
	var ip netip.Addr
	if w.CallerIPAddress != "" {
		if ip, err = netip.ParseAddr(w.CallerIPAddress); err != nil {
			return nil, err
		}
	}
	r := &Record{Time: at, ResourceID: w.ResourceID, OperationName: w.OperationName, OperationVersion: w.OperationVersion,
		Category: w.Category, ResultType: w.ResultType, ResultSignature: w.ResultSignature,
		ResultDescription: w.ResultDescription, Duration: time.Duration(ms) * time.Millisecond,
		CallerIP: ip, CorrelationID: w.CorrelationID, Identity: Identity(w.Identity.Claim)}
	return r, r.readProperties(w.Properties)
}

var errProperties = errors.New("properties is not an object of strings, numbers, true and false")

// readProperties reads the members of properties in their order: the known
// ones into their fields, the others into Properties.
func (r *Record) readProperties(raw json.RawMessage) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errProperties
	}
	texts := map[string]*string{"id": &r.ID, "clientInfo": &r.ClientInfo, "requestUri": &r.RequestURI,
		"tlsVersion": &r.TLSVersion, "addrAuthType": &r.AddrAuthType, "subnetId": &r.SubnetID,
		"privateEndpointId": &r.PrivateEndpointID, "trustedService": &r.TrustedService, "appliedAssignmentId": &r.AssignmentID}
	tris := map[string]*Tri{"isAddressAuthorized": &r.AddressAuthorized, "isRbacAuthorized": &r.RBACAuthorized,
		"isAccessPolicyMatch": &r.PolicyMatch}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return errProperties
		}
		if t, err = dec.Token(); err != nil {
			return errProperties
		}
		switch v := t.(type) {
		case string:
			if p := texts[name]; p != nil {
				*p = v
			} else {
				r.Properties = append(r.Properties, Property{name, v})
			}
		case bool:
			if p := tris[name]; p != nil {
				*p = Bool(v)
			}
		case json.Number:
			n, err := strconv.Atoi(v.String())
			if err != nil || name != "httpStatusCode" {
				return errProperties
			}
			r.Status = n
		default:
			return errProperties
		}
	}
	return nil
}
