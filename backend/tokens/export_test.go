package tokens

import (
	"encoding/binary"
	"time"
)

// FillRevocations puts many revocations into memory.
func (s *Store) FillRevocations(n int, expires time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		var one id
		binary.LittleEndian.PutUint64(one[:], uint64(i))
		s.revoked[one] = expires.Unix()
	}
}
