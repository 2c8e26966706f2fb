package control

import (
	"context"
	"errors"
	"net/http"

	"github.com/esasim/esasim/appliance/packets"
)

func (s *Server) captureRoutes() []route {
	return []route{
		{"GET /v1/cables", s.listCables},
		{"GET /v1/live", s.live},
		{"GET /v1/captures", s.listCaptures},
		{"POST /v1/captures", s.startCapture},
		{"GET /v1/captures/{capture}", s.getCapture},
		{"DELETE /v1/captures/{capture}", s.removeCapture},
		{"POST /v1/captures/{capture}/stop", s.stopCapture},
		{"GET /v1/captures/{capture}/pcapng", s.getCaptureFile},
	}
}

// pcapngType is the media type of captures.
const pcapngType = "application/x-pcapng"

func (s *Server) listCables(r *http.Request) (any, error) {
	if err := s.box.WaitSettled(r.Context()); err != nil {
		return nil, err
	}
	return s.box.Cables(), nil
}

func (s *Server) listCaptures(*http.Request) (any, error) { return s.box.Captures(), nil }

func (s *Server) startCapture(r *http.Request) (any, error) {
	var request packets.CaptureRequest
	if _, err := readBody(r, &request); err != nil {
		return nil, err
	}
	if err := s.box.WaitSettled(r.Context()); err != nil {
		return nil, err
	}
	c, err := s.box.StartCapture(request)
	if err != nil {
		return nil, aboutPackets(err)
	}
	return created{c}, nil
}

// aboutPackets returns err as it is answered: with the field of the request that it is about.
func aboutPackets(err error) error {
	var wrong *packets.Error
	switch {
	case errors.As(err, &wrong):
		return badField(wrong.Field, wrong.Value, "%s", wrong.Text)
	case errors.Is(err, packets.ErrNotRunning):
		return refuse(http.StatusServiceUnavailable, "%v", err)
	}
	return err
}

func (s *Server) getCapture(r *http.Request) (any, error) {
	c, err := s.box.Capture(r.PathValue("capture"))
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (s *Server) stopCapture(r *http.Request) (any, error) {
	c, err := s.box.StopCapture(r.PathValue("capture"))
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (s *Server) removeCapture(r *http.Request) (any, error) {
	return nil, s.box.RemoveCapture(r.PathValue("capture"))
}

func (s *Server) getCaptureFile(r *http.Request) (any, error) {
	name := r.PathValue("capture")
	if _, err := s.box.Capture(name); err != nil {
		return nil, err
	}
	return stream(func(w http.ResponseWriter) {
		setHeader(w, pcapngType)
		_ = s.box.WriteCapture(name, w) // the client may be gone, or the capture removed
	}), nil
}

// live answers with the packets of a cable as they pass, until the client leaves.
func (s *Server) live(r *http.Request) (any, error) {
	query := r.URL.Query()
	if query.Get("cable") == "" {
		return nil, badField("cable", "", "expected the name of a cable: GET /v1/cables lists them")
	}
	if err := s.box.WaitSettled(r.Context()); err != nil {
		return nil, err
	}
	ctx, cancel := s.untilStop(r.Context())
	watch, err := s.box.Watch(ctx, query.Get("cable"), query.Get("filter"))
	if err != nil {
		cancel()
		return nil, aboutPackets(err)
	}
	return stream(func(w http.ResponseWriter) {
		defer cancel()
		setHeader(w, pcapngType)
		_ = sendLive(ctx, w, watch) // the client has gone, or the simulator stops
	}), nil
}

// sendLive sends the packets of a watch until it ends. Packets are sent at once, unless the next one
// waits already.
func sendLive(ctx context.Context, w http.ResponseWriter, watch *packets.Watch) error {
	out := http.NewResponseController(w)
	file, err := packets.NewFileWriter(w, watch.Cable(), watch.Filter(), 0)
	if err != nil {
		return err
	}
	for {
		if watch.Pending() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		p, err := watch.Next(ctx)
		if err != nil {
			return err
		}
		if err := file.Write(p); err != nil {
			return err
		}
	}
}
