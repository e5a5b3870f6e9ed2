// Package client receives what oodcast publishes on NATS, and turns its knobs. It imports the message schema only: no
// detector, no video and no C comes with it.
//
//	c := client.New(nc, client.Camera("front"))
//	stop, err := c.Maps(func(m client.Map) { fmt.Println(m.Captured, m.Peak) })
//
// Handlers are called one after the other, on a goroutine of the subscription. A handler that is slower than the maps
// come loses the oldest, so that what it sees is never old.
package client
