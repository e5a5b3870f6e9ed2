package preview_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/publish/schema"
)

// TestInterruptedEvents ends an event that the previous process left open: the API lists it however late it is asked, and a
// page that connects again learns of it at once.
func TestInterruptedEvents(t *testing.T) {
	s := start(t, testConfig(), []schema.Camera{newCamera("front")})
	s.Interrupted([]schema.Event{
		{ID: "front-1-0000000a", Camera: "front", Type: "end", Reason: "interrupted", Time: time.Now().Add(-time.Hour)},
	})
	s.Audit(schema.Audit{Camera: "front", Action: "pause", Time: time.Now(), Requester: schema.Requester{Via: "nats"}})
	r := send(t, "GET", s.URL()+"api/v1/events?camera=front&since="+time.Now().Add(-time.Minute).UTC().Format(time.RFC3339), "", "", nil)
	if !strings.Contains(r.body, `"reason":"interrupted"`) || !strings.Contains(r.body, `"audit":[{`) ||
		!strings.Contains(r.body, `"via":"nats"`) {
		t.Errorf("events: %s", r.body)
	}
	if r := send(t, "GET", s.URL()+"api/v1/events?camera=rear", "", "", nil); strings.Contains(r.body, "audit") {
		t.Errorf("events of another camera: %s", r.body)
	}
	client := fresh()
	res, err := client.Get(s.URL() + "api/v1/cameras/front/live")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for {
		line, err := lines.ReadString('\n')
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%d, %v", res.StatusCode, err)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			if !strings.Contains(data, `"id":"front-1-0000000a"`) {
				t.Errorf("the first message is %s", data)
			}
			return
		}
	}
}
