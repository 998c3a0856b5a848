package preview

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"time"
)

// store keeps the records of links over restarts. Links calls the writing
// methods one at a time. testStore is its contract.
type store interface {
	// Load returns all records, in no order.
	Load() ([]record, error)
	// Put adds the records, or replaces those of the same token, all or none.
	// They outlive a crash once it has returned.
	Put(...record) error
	// Delete removes the records of the tokens; unknown ones are not an error.
	Delete(tokens ...string) error
	// Compact gives back room that nothing needs, if the records take more than
	// factor times what they need. A crash in the midst loses none of them.
	Compact(factor int64) error
	Close() error
}

// record is what is stored of one link. Fields may be added: what a file
// lacks reads as zero.
type record struct {
	Token           string    `json:"token"`
	Engine          string    `json:"engine,omitempty"`
	Sandbox         string    `json:"sandbox"`
	Port            int       `json:"port"`
	Label           string    `json:"label,omitempty"`
	Created         time.Time `json:"created"`
	Expires         time.Time `json:"expires,omitzero"`
	Revoked         time.Time `json:"revoked,omitzero"`
	AllowDaemonPort bool      `json:"allow_daemon_port,omitempty"`
	NoFence         bool      `json:"no_fence,omitempty"`
	KeepPrefix      bool      `json:"keep_prefix,omitempty"`
	Cookies         []byte    `json:"cookies,omitempty"` // jar.bytes
	Requests        int64     `json:"requests,omitempty"`
	BytesIn         int64     `json:"bytes_in,omitempty"`
	BytesOut        int64     `json:"bytes_out,omitempty"`
	LastUsed        time.Time `json:"last_used,omitzero"`
}

// errDamagedRecord reports that the bytes of a record are not those that were written.
var errDamagedRecord = errors.New("record is damaged")

// checksumSize is the size in bytes of the checksum before each record's JSON.
const checksumSize = 4

// encode is the record's JSON after a CRC-32C of it, big-endian.
func (r record) encode() ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	sum := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	return append(binary.BigEndian.AppendUint32(nil, sum), data...), nil
}

// decode reads what encode has written under a key, which is the token.
func decode(key, value []byte) (record, error) {
	var r record
	if len(value) < checksumSize {
		return record{}, errDamagedRecord
	}
	data := value[checksumSize:]
	if binary.BigEndian.Uint32(value) != crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) {
		return record{}, errDamagedRecord
	}
	if err := json.Unmarshal(data, &r); err != nil || r.Token != string(key) {
		return record{}, errDamagedRecord
	}
	return r, nil
}
