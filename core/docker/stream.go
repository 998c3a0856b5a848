package docker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Kinds of frame in a multiplexed stream of the engine.
const (
	frameError       = 2 // standard error
	frameSystemError = 3
	// maxSystemError bounds an error that the engine sends in the stream.
	maxSystemError = 4 << 10
)

// frames reads the contents of the frames of the engine's multiplexed stream:
// standard output and error in the order in which the engine sent them. It
// buffers nothing.
// See https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach
type frames struct {
	r    io.Reader
	left uint32 // bytes of the current frame that are not read yet
	// complaints gets standard error, which is then not read; nil: it is read, too.
	complaints io.Writer
}

// Read implements io.Reader.
func (f *frames) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for f.left == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	n, err := f.r.Read(p[:min(len(p), int(min(f.left, 1<<30)))])
	f.left -= uint32(n)
	if errors.Is(err, io.EOF) && f.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// next reads the head of the next frame: its kind, three zeros, its length.
func (f *frames) next() error {
	var head [8]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[4:])
	switch kind := head[0]; {
	case kind == frameSystemError:
		text, err := io.ReadAll(io.LimitReader(f.r, int64(min(size, maxSystemError))))
		if err != nil {
			return err
		}
		return fmt.Errorf("the engine: %s", text)
	case kind > frameSystemError || head[1]|head[2]|head[3] != 0:
		return fmt.Errorf("not a multiplexed stream: frame head % x", head)
	case kind == frameError && f.complaints != nil:
		_, err := io.CopyN(f.complaints, f.r, int64(size))
		return err
	}
	f.left = size
	return nil
}
