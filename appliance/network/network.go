package network

// A Network is one appliance's view of its network. All methods are safe for concurrent
// use.
type Network interface {
	Transport
	Prober
	Inspector
	Tapper
}
