package peers

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/network"
)

// webIdle is how long a connection may be without a request.
const webIdle = 2 * time.Minute

var _ = register(Kind{
	Name:    "web",
	Title:   "a web server",
	Port:    80,
	Options: map[string]func(string) error{"text": nil},
	New:     func(c Config) Peer { return &WebServer{config: c} },
})

// A WebServer answers every HTTP request with the text of the option text.
type WebServer struct {
	config  Config
	server  *http.Server
	running sync.WaitGroup
}

// Start listens on the host's addresses.
func (w *WebServer) Start(ctx context.Context) error {
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

func (w *WebServer) serve(l network.Listener) {
	if err := w.server.Serve(l); err != http.ErrServerClosed {
		w.config.Logger.Error("a simulated server cannot accept connections any more",
			"server", w.config.Name, "error", err)
	}
}

// Stop closes the connections and waits for the server.
func (w *WebServer) Stop() {
	if w.server != nil {
		w.server.Close()
	}
	w.running.Wait()
}

// ServeHTTP implements http.Handler.
func (w *WebServer) ServeHTTP(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	text := w.config.Options["text"]
	if text == "" {
		text = "This is a simulated web server.\n"
	}
	io.WriteString(rw, text)
}
