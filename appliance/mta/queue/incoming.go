package queue

import (
	"context"
	"errors"
	"fmt"
)

// smallBody is the length of the longest body that is kept in the log. The body of a longer
// message has a file of its own, so that the log's compaction need not copy it.
const smallBody = 64 << 10

// An Incoming is a message that is being received. It is not safe for concurrent use. Its owner
// must call Commit, CommitWith or Abort; after that, the other calls have no effect.
type Incoming struct {
	q    *Queue
	mid  uint64
	size int64  // what has been written
	buf  []byte // the body, or the end of it if there is a file
	file File   // nil while the body is small
	path string // of the file; "" if there is none
	end  int64  // of the file
	err  error  // the first one, or errDone
}

var errDone = errors.New("queue: the message has been committed or aborted")

// Create begins to receive the message with the given identifier, which must be one of NextMID.
// It returns ErrQuota if the queue is full.
func (q *Queue) Create(mid uint64) (*Incoming, error) {
	if mid == 0 || mid > maxID {
		return nil, fmt.Errorf("queue: a message has the identifier %d", mid)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return nil, ErrClosed
	case q.messages[mid] != nil || q.incoming[mid]:
		return nil, fmt.Errorf("queue: message %d exists", mid)
	case q.used.Load() >= q.quota:
		return nil, ErrQuota
	}
	q.incoming[mid] = true
	buf, _ := q.buffers.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	return &Incoming{q: q, mid: mid, buf: (*buf)[:0]}, nil
}

// Write appends to the body. It holds at most 64 KiB in memory, and keeps no reference to p. After
// an error (ErrQuota, ErrDiskFull or another one of the disk) the message can only be aborted, and
// Write and Commit return the same error again.
func (in *Incoming) Write(p []byte) (int, error) {
	if in.err != nil {
		return 0, in.err
	}
	if !in.q.reserve(int64(len(p))) {
		in.err = ErrQuota
		return 0, in.err
	}
	in.size += int64(len(p))
	written := 0
	for in.err == nil && written < len(p) {
		if len(in.buf) == smallBody {
			in.flush()
			continue
		}
		n := min(smallBody-len(in.buf), len(p)-written)
		in.buf = append(in.buf, p[written:written+n]...)
		written += n
	}
	return written, in.err
}

// flush moves the buffer to the message's own file.
func (in *Incoming) flush() {
	if in.file == nil {
		path := in.q.dir.join(bodyName(in.mid))
		f, err := in.q.dir.create(path)
		if err != nil {
			in.err = diskError("create the file of a body", err)
			return
		}
		in.file, in.path = f, path
	}
	if _, err := in.file.WriteAt(in.buf, in.end); err != nil {
		in.err = diskError("write a body", err)
		return
	}
	in.end += int64(len(in.buf))
	in.buf = in.buf[:0]
}

// Commit appends the message to the queue. It blocks until the message is durable, and returns nil
// only then; after an error the message is not in the queue. MID and Size of env are ignored. If
// ctx ends before the message's turn to be written, Commit returns ctx's cause.
func (in *Incoming) Commit(ctx context.Context, env Envelope) error {
	_, err := in.commit(ctx, env, 0, nil)
	return err
}

// CommitWith commits the message and changes another one, whose identifier is mid. After a crash
// either both have happened or neither: so a bounce message is made exactly once. The errors are
// those of Commit and Update.
func (in *Incoming) CommitWith(ctx context.Context, env Envelope, mid uint64, changes ...Change,
) (Result, error) {
	if len(changes) == 0 {
		in.Abort()
		return Result{}, errNoChanges
	}
	return in.commit(ctx, env, mid, changes)
}

func (in *Incoming) commit(ctx context.Context, env Envelope, mid uint64, changes []Change,
) (Result, error) {
	if in.err != nil {
		err := in.err
		in.Abort()
		return Result{}, err
	}
	r, err := in.request(env, mid, changes)
	if err == nil {
		err = in.q.submit(ctx, r)
	}
	if err != nil {
		in.Abort()
		return Result{}, err
	}
	in.release()
	in.q.used.Add(-in.size) // the writer has added the message's own use
	return r.result, nil
}

// request makes everything ready that can be done before the message's turn.
func (in *Incoming) request(env Envelope, mid uint64, changes []Change) (*request, error) {
	env.MID, env.Size = in.mid, in.size
	m, err := newMessage(&env)
	if err != nil {
		return nil, err
	}
	r := &request{msg: m, mid: mid, changes: changes, kind: kindMessage, body: in.buf}
	if in.file != nil {
		if len(in.buf) > 0 {
			if in.flush(); in.err != nil {
				return nil, in.err
			}
		}
		err := errors.Join(in.file.Sync(), in.file.Close())
		if in.file = nil; err != nil {
			return nil, diskError("sync a body", err)
		}
		m.large, r.body = &sharedFile{fs: in.q.dir.fs, path: in.path}, nil
	}
	r.head = appendMessage(nil, m)
	if changes != nil {
		r.head = appendUpdate(r.head, mid, changes)
	}
	m.headLen = uint32(len(r.head))
	return r, nil
}

// Abort forgets the message and removes its file.
func (in *Incoming) Abort() {
	if in.err == errDone {
		return
	}
	path := in.path
	in.release()
	in.q.used.Add(-in.size)
	if path != "" {
		if err := in.q.dir.fs.Remove(path); err != nil {
			in.q.log.Warn("queue: the file of an aborted message remains until the next start",
				"path", path, "err", err)
		}
	}
}

// release ends the use of everything that does not belong to the message.
func (in *Incoming) release() {
	if in.file != nil {
		in.file.Close() // its content is not needed
		in.file = nil
	}
	buf := in.buf
	in.q.buffers.Put(&buf)
	in.buf, in.err = nil, errDone
	in.q.mu.Lock()
	defer in.q.mu.Unlock()
	delete(in.q.incoming, in.mid)
}
