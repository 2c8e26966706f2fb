package delivery

import "sync"

// outcomes order the events of messages: that a message is finished is published after what has
// happened to each of its recipients. Several workers deal with the recipients of a message, and
// each changes the queue first and publishes then. The zero value is ready to use.
type outcomes struct {
	mu   sync.Mutex
	open map[uint64]*openOutcomes // by MID
}

// openOutcomes are those outcomes of a message that are being recorded and published.
type openOutcomes struct {
	count    int
	finished func() // publishes that the message is finished; nil: it is not
}

// begin is called before an outcome of a message is recorded in the queue. The caller calls end
// after the outcome has been published, or could not be recorded.
func (o *outcomes) begin(mid uint64) (end func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := o.open[mid]
	if m == nil {
		m = &openOutcomes{}
		if o.open == nil {
			o.open = map[uint64]*openOutcomes{}
		}
		o.open[mid] = m
	}
	m.count++
	return func() { o.end(mid, m) }
}

// finish is called between begin and end, if the outcome was the message's last. publish runs when
// the last outcome that is open ends, on its goroutine.
func (o *outcomes) finish(mid uint64, publish func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open[mid].finished = publish
}

func (o *outcomes) end(mid uint64, m *openOutcomes) {
	o.mu.Lock()
	m.count--
	var publish func()
	if m.count == 0 {
		delete(o.open, mid)
		publish = m.finished
	}
	o.mu.Unlock()
	if publish != nil {
		publish()
	}
}
