package keyvault

import (
	"errors"
	"net/http"

	"postern/internal/enrollment"
	"postern/internal/issuance"
	"postern/internal/vault"
)

// The seconds that a client is told to wait: an operation of the vault's own
// is done with the first poll, one of somebody else's takes its time
// (recorded answers have both).
const (
	retryNow   = "0"
	retryLater = "10"
)

// createCertificate is CreateCertificate of the specification: 202 and the
// operation as it was begun. What the vault can do by itself is done before
// the answer leaves, so that the certificate is there whether or not anybody
// polls.
func createCertificate(x *exchange, b []byte) ([]byte, int, error) {
	data, err := x.readBody()
	if err != nil {
		return b, 0, err
	}
	body, err := readCertificate(data)
	if err != nil {
		return b, 0, err
	}
	ctx, certs := x.request.Context(), x.certificates()
	policy, err := x.newPolicy(certs, body.policy)
	if err != nil {
		return b, 0, err
	}
	x.grant.Expect(http.StatusAccepted)
	p, err := x.Desk.Create(ctx, certs, x.target.name, enrollment.Application{Policy: policy, Enabled: body.enabled, Tags: body.tags,
		PreserveCertOrder: body.preserve != nil && *body.preserve && x.api >= api76, NewKey: x.makeKey(policy.KeyType())})
	if err != nil {
		return b, 0, err
	}
	if policy.SelfIssued() {
		// Whatever goes wrong here is tried again with the first poll.
		if _, err := x.Desk.Advance(ctx, certs, x.target.name); err != nil {
			x.Log.Warn("a certificate begun is not issued yet", "error", err, "request", x.headers.requestID(), "vault", x.vault.Resource.Name)
		}
	}
	x.headers.location[0] = x.pendingID(p.Name) + "?api-version=" + x.query.apiVersion + "&request_id=" + p.Request
	x.headers.retryAfter[0] = retryNow
	return x.appendOperation(b, &p, true), http.StatusAccepted, nil
}

// newPolicy is the policy of a new version: the one that was sent, or the
// one that the certificate has.
func (x *exchange) newPolicy(certs *vault.Certificates, sent string) (*issuance.Policy, error) {
	if sent == "" {
		o, _, err := certs.Get(x.request.Context(), x.target.name, "")
		if err == vault.NotFound {
			return nil, invalidProperty("policy", "is required")
		}
		if err != nil {
			return nil, err
		}
		return issuance.ParsePolicy([]byte(o.Policy))
	}
	p, err := issuance.ParsePolicy([]byte(sent))
	if err != nil {
		return nil, err
	}
	x.dropUnknown(p)
	if p, err = p.Complete(x.now); err != nil {
		return nil, err
	}
	return p, x.checkKeyType(p)
}

// pending reads the operation, or does something to it; a request_id in the
// query must be its own.
func (x *exchange) pending(do func(certs *vault.Certificates) (vault.Pending, error)) (vault.Pending, error) {
	certs := x.certificates()
	if x.query.requestID != "" {
		p, err := certs.Pending(x.request.Context(), x.target.name)
		if err == nil && x.query.requestID != p.Request {
			err = vault.NoPending
		}
		if err != nil {
			return p, err
		}
	}
	return do(certs)
}

// getPending is GetCertificateOperation of the specification; asking takes
// the operation on.
func getPending(x *exchange, b []byte) ([]byte, int, error) {
	p, err := x.pending(func(certs *vault.Certificates) (vault.Pending, error) {
		return x.Desk.Advance(x.request.Context(), certs, x.target.name)
	})
	if unanswered := new(enrollment.Unanswered); errors.As(err, &unanswered) {
		x.Log.Warn("an issuer could not be asked", "issuer", unanswered.Issuer, "error", unanswered.Cause, "vault", x.vault.Resource.Name)
		err = nil
	}
	if err != nil {
		return b, 0, err
	}
	if p.Status == vault.StatusInProgress {
		x.headers.retryAfter[0] = retryLater
	}
	return x.appendOperation(b, &p, true), http.StatusOK, nil
}

// updatePending is UpdateCertificateOperation of the specification.
func updatePending(x *exchange, b []byte) ([]byte, int, error) {
	data, err := x.readBody()
	if err != nil {
		return b, 0, err
	}
	body, err := readCertificate(data)
	if err != nil {
		return b, 0, err
	}
	if body.cancel == nil {
		return b, 0, invalidProperty("cancellation_requested", "is required")
	}
	p, err := x.pending(func(certs *vault.Certificates) (vault.Pending, error) {
		return certs.ChangePending(x.request.Context(), x.target.name, func(p *vault.Pending) error {
			if p.Status != vault.StatusInProgress {
				return notPending
			}
			// An issuer is not asked earlier for it: the next look ends the
			// operation, and one that nobody would look at is due now.
			if p.Cancel = *body.cancel; p.Cancel && !p.Poll.Known {
				p.Poll = vault.At(x.now.Unix())
			}
			return nil
		})
	})
	if err != nil {
		return b, 0, err
	}
	return x.appendOperation(b, &p, true), http.StatusOK, nil
}

// deletePending is DeleteCertificateOperation of the specification; it
// answers with what was deleted.
func deletePending(x *exchange, b []byte) ([]byte, int, error) {
	p, err := x.pending(func(certs *vault.Certificates) (vault.Pending, error) {
		return x.Desk.Drop(x.request.Context(), certs, x.target.name)
	})
	if err != nil {
		return b, 0, err
	}
	return x.appendOperation(b, &p, false), http.StatusOK, nil
}

// mergeCertificate is MergeCertificate of the specification.
func mergeCertificate(x *exchange, b []byte) ([]byte, int, error) {
	data, err := x.readBody()
	if err != nil {
		return b, 0, err
	}
	body, err := readCertificate(data)
	if err != nil {
		return b, 0, err
	}
	if len(body.x5c) == 0 {
		return b, 0, invalidProperty("x5c", "is required")
	}
	certs := x.certificates()
	certs.NewVersion = x.naming()
	x.grant.Expect(http.StatusCreated)
	o, content, err := x.Desk.Merge(x.request.Context(), certs, x.target.name, enrollment.Delivery{Chain: body.x5c, Enabled: body.enabled, Tags: body.tags})
	if err != nil {
		x.record.ID = "" // there is no such version
		return b, 0, err
	}
	x.headers.location[0] = x.base + "/certificates/" + o.Name + "?api-version=" + x.query.apiVersion
	b, err = x.appendCertificate(b, certificateBundle{object: &o, content: &content, pending: true})
	return b, http.StatusCreated, err
}
