package packets

// Options are what Cables use.
type Options struct{}
