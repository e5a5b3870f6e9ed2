// Package client receives the messages of oodcast on NATS and changes the settings of its cameras. Of oodcast it imports only
// the message schema: no detector, no video and no C.
//
//	c := client.New(nc, client.Camera("front"))
//	stop, err := c.Maps(func(m client.Map) { fmt.Println(m.Captured, m.Peak) })
//
// The handler of a subscription is called for one message at a time, on a goroutine of the subscription. If a map handler is
// too slow, the oldest maps are dropped, so that the handler never falls far behind.
package client
