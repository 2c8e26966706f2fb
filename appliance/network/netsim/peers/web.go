package peers

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/network"
)

// webIdle is how long a connection without a request is kept.
const webIdle = 2 * time.Minute

var _ = register(Kind{
	Name:    "web",
	Port:    80,
	Options: map[string]func(string) error{"text": nil},
	New:     func(c Config) Peer { return &Web{config: c} },
})

// A Web answers every HTTP request with one page, the option text.
type Web struct {
	config  Config
	server  *http.Server
	running sync.WaitGroup
}

// Start listens on the host's addresses.
func (w *Web) Start(ctx context.Context) error {
	listeners, err := listen(ctx, w.config)
	if err != nil {
		return err
	}
	w.server = &http.Server{Handler: w, IdleTimeout: webIdle, ReadHeaderTimeout: webIdle}
	for _, l := range listeners {
		w.running.Go(func() { w.serve(l) })
	}
	return nil
}

func (w *Web) serve(l network.Listener) {
	if err := w.server.Serve(l); err != http.ErrServerClosed {
		w.config.Logger.Error("a simulated server stopped accepting", "server", w.config.Name, "error", err)
	}
}

// Stop cuts the connections and waits for the server.
func (w *Web) Stop() {
	if w.server != nil {
		w.server.Close()
	}
	w.running.Wait()
}

// ServeHTTP writes the page.
func (w *Web) ServeHTTP(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	text := w.config.Options["text"]
	if text == "" {
		text = "This is a simulated web server.\n"
	}
	io.WriteString(rw, text)
}
