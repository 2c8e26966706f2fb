package control

import (
	"errors"
	"net/http"

	"github.com/esasim/esasim/appliance/box"
)

func (s *Server) snapshotRoutes() []route {
	return []route{
		{"GET /v1/snapshots", s.listSnapshots},
		{"POST /v1/snapshots/{snapshot}", s.saveSnapshot},
		{"GET /v1/snapshots/{snapshot}", s.getSnapshot},
		{putSnapshotPattern, s.putSnapshot},
		{"DELETE /v1/snapshots/{snapshot}", s.removeSnapshot},
	}
}

const putSnapshotPattern = "PUT /v1/snapshots/{snapshot}"

// snapshotType is the media type of the files of snapshots.
const snapshotType = "application/x-tar"

// aboutSnapshot returns err as it is answered.
func aboutSnapshot(err error) error {
	var wrong *box.SnapshotError
	if errors.As(err, &wrong) {
		return badRequest("%v", wrong)
	}
	return err
}

func (s *Server) listSnapshots(*http.Request) (any, error) { return s.box.Snapshots(), nil }

func (s *Server) saveSnapshot(r *http.Request) (any, error) {
	info, err := s.box.Snapshot(r.Context(), r.PathValue("snapshot"))
	if err != nil {
		return nil, aboutSnapshot(err)
	}
	return created{info}, nil
}

// getSnapshot answers with the file of a snapshot.
func (s *Server) getSnapshot(r *http.Request) (any, error) {
	name := r.PathValue("snapshot")
	for _, x := range s.box.Snapshots() {
		if x.Name == name {
			return stream(func(w http.ResponseWriter) {
				setHeader(w, snapshotType)
				_ = s.box.WriteSnapshot(name, w) // the client may be gone, or the snapshot removed
			}), nil
		}
	}
	return nil, refuse(http.StatusNotFound, "there is no snapshot %q", name)
}

// putSnapshot reads the file of a snapshot.
func (s *Server) putSnapshot(r *http.Request) (any, error) {
	if kind := r.Header.Get("Content-Type"); kind != snapshotType {
		return nil, refuse(http.StatusUnsupportedMediaType,
			"expected the file of a snapshot, with Content-Type: %s", snapshotType)
	}
	if err := s.box.WaitSettled(r.Context()); err != nil {
		return nil, err
	}
	info, err := s.box.ReadSnapshot(r.PathValue("snapshot"), r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, badRequest("the snapshot is larger than %d MiB, which is the limit", large.Limit>>20)
	case err != nil:
		return nil, aboutSnapshot(err)
	}
	return created{info}, nil
}

func (s *Server) removeSnapshot(r *http.Request) (any, error) {
	return nil, s.box.RemoveSnapshot(r.PathValue("snapshot"))
}
