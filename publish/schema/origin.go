package schema

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
)

// Origin tells the messages of one run of oodcast from those of another one. Sequence numbers count within a run.
type Origin struct {
	Run     string `json:"run"`     // random, new at each start
	Process string `json:"process"` // host:pid
}

// ThisProcess returns the origin of all messages of this process.
var ThisProcess = sync.OnceValue(func() Origin {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return Origin{Run: hex.EncodeToString(b), Process: processName()}
})
