package enrollment

// Slots is how many key pairs a desk makes at a time.
func Slots(d *Desk) int { return cap(d.slots) }
