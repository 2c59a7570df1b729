package keyvault

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"postern/internal/admission"
	"postern/internal/arm"
	"postern/internal/arm/privatelink"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/journal"
	"postern/internal/ordered"
	"postern/internal/region"
	"postern/internal/store"
)

// timeForm is how the dates of deleted vaults are written.
const timeForm = "2006-01-02T15:04:05Z"

// removeVault soft-deletes a vault; 204 when there is none (spec:
// Vaults_Delete).
func removeVault(c *arm.Call) (*arm.Answer, error) {
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		res, ok := s.Resource(arm.VaultID(c.Vars))
		if !ok {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		softDelete(c, d, res)
		for _, assignment := range s.Under(res.ID, estate.TypeRoleAssignment) {
			d.Delete(assignment.ID)
		}
		return &arm.Answer{Status: http.StatusOK, Header: http.Header{"X-Ms-Operation-Identifier": {
			"tenantId=" + c.Caller.Tenant.String() + ",objectId=" + c.Caller.Object.String() + "/" + res.Location + "/" + c.RequestID}}}, nil
	})
}

// softDelete turns a vault into a deleted one, and disconnects its private
// endpoints. Its role assignments are the caller's to remove: a recovered
// vault gets back neither.
func softDelete(c *arm.Call, d *estate.Draft, res *estate.Resource) {
	if now, ok := d.Resource(res.ID); ok {
		res = now
	}
	next := *privatelink.Clear(d, res, strings.ReplaceAll(c.RequestID, "-", ""), c.Now)
	days := 90
	if n, err := strconv.Atoi(number(arm.Document(res).Object("properties"), "softDeleteRetentionInDays")); err == nil {
		days = n
	}
	next.Deleted = &estate.Deletion{At: c.Now, Purge: c.Now.AddDate(0, 0, days)}
	next.Changed = c.Now
	d.Put(&next)
}

func number(o *ordered.Object, name string) string {
	v, _ := o.Get(name)
	return describe(v)
}

// expired reports whether a deleted vault's time has come.
func expired(res *estate.Resource, now time.Time) bool {
	return res.Deleted != nil && !now.Before(res.Deleted.Purge)
}

// deletedBody is a deleted vault as it is answered (spec: DeletedVault).
func deletedBody(res *estate.Resource) *ordered.Object {
	props := ordered.New(
		ordered.Member{Name: "vaultId", Value: res.ID},
		ordered.Member{Name: "location", Value: res.Location},
		ordered.Member{Name: "tags", Value: arm.TagObject(res.Tags)},
		ordered.Member{Name: "deletionDate", Value: res.Deleted.At.UTC().Format(timeForm)},
		ordered.Member{Name: "scheduledPurgeDate", Value: res.Deleted.Purge.UTC().Format(timeForm)})
	if protected(res) {
		props.Set("purgeProtectionEnabled", true)
	}
	return ordered.New(
		ordered.Member{Name: "id", Value: "/subscriptions/" + res.Subscription() + namespace + "/locations/" + res.Location +
			"/deletedVaults/" + res.Name},
		ordered.Member{Name: "name", Value: res.Name},
		ordered.Member{Name: "type", Value: "Microsoft.KeyVault/deletedVaults"},
		ordered.Member{Name: "properties", Value: props})
}

// protected reports whether a vault has purge protection.
func protected(res *estate.Resource) bool {
	v, _ := arm.Document(res).Object("properties").Get("enablePurgeProtection")
	return v == true
}

// listDeleted is Vaults_ListDeleted of the specification.
func listDeleted(c *arm.Call) (*arm.Answer, error) {
	var list []*estate.Resource
	for _, res := range c.Snapshot().DeletedVaults() {
		if strings.EqualFold(res.Subscription(), c.Vars["subscription"]) && !expired(res, c.Now) {
			list = append(list, res)
		}
	}
	return page(c, list, deletedBody)
}

// theDeleted is the deleted vault of the path.
func theDeleted(c *arm.Call, s *estate.Snapshot) (*estate.Resource, error) {
	res, ok := s.Taken(c.Vars["deleted"])
	if ok && res.Deleted != nil && !expired(res, c.Now) && strings.EqualFold(res.Subscription(), c.Vars["subscription"]) &&
		region.Same(res.Location, c.Vars["location"]) {
		return res, nil
	}
	return nil, fault.New(http.StatusNotFound, "DeletedVaultNotFound", "The specified deleted vault does not exist.")
}

// getDeleted is Vaults_GetDeleted of the specification.
func getDeleted(c *arm.Call) (*arm.Answer, error) {
	res, err := theDeleted(c, c.Snapshot())
	if err != nil {
		return nil, err
	}
	return arm.OK(deletedBody(res)), nil
}

// recoverVault brings a deleted vault back as it was (spec:
// Vaults_CreateOrUpdate, createMode recover). Its tags are those of the
// request, so none when it has none (recorded). A vault that is live already
// is answered as it is, so that the request can be sent again.
func recoverVault(c *arm.Call, sent *ordered.Object) (*arm.Answer, error) {
	tags, err := arm.Tags(sent)
	if err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		if live, ok := s.Resource(arm.VaultID(c.Vars)); ok {
			return arm.OK(body(c, live)), nil
		}
		res, ok := s.Taken(c.Vars["vault"])
		if !ok || res.Deleted == nil || expired(res, c.Now) || estate.Key(res.ID) != estate.Key(arm.VaultID(c.Vars)) {
			return nil, fault.New(http.StatusBadRequest, "SoftDeletedVaultDoesNotExist", "A soft deleted vault with the given name does not"+
				" exist. Ensure that the name for the vault that is being attempted to recover is in a recoverable state.")
		}
		if _, err := c.Location(estate.TypeVault, sent, res); err != nil {
			return nil, err
		}
		next := *res
		next.Deleted, next.Tags, next.Changed = nil, tags, c.Now
		doc := arm.Document(res)
		doc.Set("tags", arm.TagObject(tags))
		doc.Set("systemData", c.SystemData(doc.Object("systemData")))
		next.Body = doc.Bytes()
		d.Put(&next)
		status := http.StatusOK
		if c.Version >= "2025-05-01" {
			status = http.StatusCreated
		}
		return &arm.Answer{Status: status, Body: body(c, &next)}, nil
	})
}

// purge removes a deleted vault for good: 202 with the URL of the operation,
// which is finished by then (spec: Vaults_PurgeDeleted).
func purge(c *arm.Call) (*arm.Answer, error) {
	uid := ""
	answer, err := c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		res, err := theDeleted(c, s)
		if err != nil {
			return nil, err
		}
		if protected(res) {
			return nil, fault.New(http.StatusMethodNotAllowed, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed.").
				WithHint("The vault has purge protection: it is purged on " + res.Deleted.Purge.UTC().Format(timeForm) + ".")
		}
		forget(d, res)
		uid = res.UID
		operation := strings.ToLower(res.Name) + "-" + strconv.FormatInt(res.Deleted.At.UnixNano(), 36)
		return &arm.Answer{Status: http.StatusAccepted, Header: http.Header{"Retry-After": {"0"}, "Location": {
			c.URL("/subscriptions/"+res.Subscription()+namespace+"/locations/"+res.Location+"/operationResults/"+operation) +
				"?api-version=" + c.Version}}}, nil
	})
	if err != nil {
		return nil, err
	}
	// The vault is gone; what it held cannot be reached any more, and what
	// is not removed now is by the next Sweep.
	c.Quietly(wipe(c.Request.Context(), c.Store(), uid))
	return answer, nil
}

// operationResult tells how a purge went: it is finished when the deleted
// vault that it was of is gone.
func operationResult(c *arm.Call) (*arm.Answer, error) {
	operation := c.Vars["operation"]
	i := strings.LastIndexByte(operation, '-')
	if i < 1 || !validName(operation[:i]) {
		return nil, fault.New(http.StatusNotFound, "OperationNotFound", "The operation '%s' could not be found.", operation)
	}
	res, ok := c.Snapshot().Taken(operation[:i])
	if ok && res.Deleted != nil && strconv.FormatInt(res.Deleted.At.UnixNano(), 36) == operation[i+1:] {
		return &arm.Answer{Status: http.StatusAccepted, Header: http.Header{"Retry-After": {"1"}, "Location": {c.Here()}}}, nil
	}
	return arm.OK(ordered.New(ordered.Member{Name: "status", Value: "Succeeded"})), nil
}

// garbage is where the names of spaces stand that are still to be emptied.
const garbage = "garbage/"

// forget takes a deleted vault out of the estate, and marks its space to be
// emptied in the same transaction.
func forget(d *estate.Draft, res *estate.Resource) {
	d.Delete(res.ID)
	if res.UID != "" {
		d.Tx().Put(garbage+res.UID, []byte{1})
	}
}

// wipeBatch bounds how many objects one transaction removes.
const wipeBatch = 500

// wipe empties the space of a vault that was forgotten.
func wipe(ctx context.Context, st store.Store, uid string) error {
	if uid == "" {
		return nil
	}
	for {
		items, err := st.Range(ctx, admission.Prefix(uid), "", wipeBatch)
		if err != nil {
			return err
		}
		var tx store.Tx
		for _, item := range items {
			tx.Delete(item.Key)
		}
		if len(items) < wipeBatch {
			tx.Delete(garbage + uid)
		}
		if err := st.Commit(ctx, &tx); err != nil || len(items) < wipeBatch {
			return err
		}
	}
}

// Sweep purges the deleted vaults whose time has come, and empties the
// spaces of those that are gone. It is for a server to call now and then;
// what it purges is recorded.
func Sweep(ctx context.Context, registry *estate.Registry, controller *admission.Controller, now time.Time) error {
	for _, res := range registry.Snapshot().DeletedVaults() {
		if !expired(res, now) {
			continue
		}
		if err := sweepVault(ctx, registry, controller, res, now); err != nil {
			return err
		}
	}
	items, err := controller.Store.Range(ctx, garbage, "", 0)
	if err != nil {
		return err
	}
	for _, item := range items {
		if err := wipe(ctx, controller.Store, strings.TrimPrefix(item.Key, garbage)); err != nil {
			return err
		}
	}
	return nil
}

// sweepVault purges one vault, unless it has changed meanwhile.
func sweepVault(ctx context.Context, registry *estate.Registry, controller *admission.Controller, res *estate.Resource, now time.Time) error {
	record := &journal.Record{Time: now, ResourceID: res.ID, OperationName: "VaultPurge", CorrelationID: res.UID}
	key := ""
	err := registry.Change(ctx, func(s *estate.Snapshot, d *estate.Draft) error {
		if current, ok := s.Taken(res.Name); !ok || current != res {
			return nil
		}
		forget(d, res)
		record.Answered(http.StatusOK)
		var value []byte
		key, value = controller.Journal.Outbox(record)
		d.Tx().Put(key, value)
		return nil
	})
	if err != nil || key == "" {
		return err
	}
	return controller.Journal.Deliver(record, key)
}
