package enrollment

import "context"

// Slots is how many key pairs a desk makes at a time.
func Slots(d *Desk) int { return cap(d.slots) }

// InTurn does work when a slot is free.
func InTurn(ctx context.Context, d *Desk, work func() error) error { return d.inTurn(ctx, work) }
