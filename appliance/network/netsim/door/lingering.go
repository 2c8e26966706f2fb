package door

import (
	"slices"
	"time"
)

const (
	// maxLingering bounds the splices of a front door that linger: their service has closed the
	// connection, and their client has not. Each holds a descriptor of this process.
	maxLingering = 64
	// lingerTimeout is how long a splice lingers. It is the time after which the stack of the
	// appliance forgets a connection that only the appliance has closed (state FIN-WAIT-2).
	lingerTimeout = time.Minute
)

// linger is called once all data of p's service has been written to the client, and the service
// has closed. If too many splices linger, the one that has lingered for the longest time is
// closed: what the machine has not sent to its client yet is still sent. No service of the
// appliance closes only one direction, so nothing that the client could send would be read.
func (f *Front) linger(p *splice) {
	var oldest *splice
	f.mu.Lock()
	p.stopTimer = f.timers.AfterFunc(f.clock, lingerTimeout, p.close)
	f.lingering = append(f.lingering, p)
	if len(f.lingering) > maxLingering {
		oldest = f.lingering[0]
		f.stopLingering(oldest)
	}
	f.mu.Unlock()
	if oldest != nil {
		oldest.close()
	}
}

// forget removes a splice that has ended from the lists of the door.
func (f *Front) forget(p *splice) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.splices, p)
	f.stopLingering(p)
}

// stopLingering removes p from the lingering splices, if it is one. The caller holds mu.
func (f *Front) stopLingering(p *splice) {
	if i := slices.Index(f.lingering, p); i >= 0 {
		f.lingering = slices.Delete(f.lingering, i, i+1)
		p.stopTimer()
	}
}
