package appliance

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/capture"
)

// openCaptures makes the recorder. Until an administrator chooses interfaces, captures run on the
// given ones.
func (a *Appliance) openCaptures(interfaces []string) {
	factory := capture.FactorySettings()
	factory.Interfaces = interfaces
	a.Captures = capture.New(capture.Options{
		Net:        a.Net,
		Files:      a.Files,
		Clock:      a.Clock,
		Product:    a.Product,
		Zone:       a.Zone,
		StateFile:  filepath.Join(a.state, "packetcapture"),
		Factory:    factory,
		LookupHost: a.lookupHost,
		OnFailure:  a.reportCaptureFailure,
		Events:     a.Events,
		Logger:     a.Logger,
	})
}

// lookupHost resolves a name in a capture filter.
func (a *Appliance) lookupHost(name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return a.Resolver.Lookup(ctx, name, 0)
}

// reportCaptureFailure logs that a capture could not be continued, and raises an alert.
func (a *Appliance) reportCaptureFailure(s capture.Status) {
	text := fmt.Sprintf("Packet capture %s stopped: %v.", s.File, s.Reason)
	a.Log(SystemLog, Warning, text)
	a.raise("capture", alert.System, alert.Warning, text)
}
