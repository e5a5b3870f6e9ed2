package publish

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/oodcast/oodcast/publish/schema"
)

// Users of the embedded server. The viewer subscribes, and asks for states and snapshots; the controller also changes
// settings. Neither reaches the account in which oodcast, its streams and the user of publish.user live: an account sees only
// what that one exports, so nobody else can store, forge or delete an event, be it as the reply to another request.
const (
	viewerUser     = "viewer"
	controllerUser = "controller"
	ownUser        = "oodcast"

	ownAccount        = "OODCAST"
	viewerAccount     = "VIEWER"
	controllerAccount = "CONTROLLER"
)

// access decides who may connect to the embedded server. It implements server.Authentication.
type access struct {
	users map[string]user
	token *user // of publish.token; nil: none
	srv   *server.Server
}

type user struct {
	secret      [sha256.Size]byte
	account     string
	permissions *server.Permissions // nil: all
}

// newAccess returns the users of an embedded server: oodcast itself, the user or token of the configuration, and the viewer
// and the controller, whose passwords are in logins.
func newAccess(cfg Config, own string, logins map[string]string) *access {
	a := &access{users: map[string]user{
		viewerUser:     {sha256.Sum256([]byte(logins[viewerUser])), viewerAccount, permit(cfg, viewerVerbs)},
		controllerUser: {sha256.Sum256([]byte(logins[controllerUser])), controllerAccount, permit(cfg, controllerVerbs)},
	}}
	if cfg.User != "" {
		a.users[cfg.User] = user{secret: sha256.Sum256([]byte(cfg.Password)), account: ownAccount}
	}
	if cfg.Token != "" {
		a.token = &user{secret: sha256.Sum256([]byte(cfg.Token)), account: ownAccount}
	}
	a.users[ownUserOf(cfg)] = user{secret: sha256.Sum256([]byte(own)), account: ownAccount}
	return a
}

// ownUserOf returns the name under which oodcast itself connects.
func ownUserOf(cfg Config) string {
	if cfg.User == ownUser {
		return ownUser + "_itself"
	}
	return ownUser
}

// Check reports whether a client may connect, and gives it its account and permissions.
func (a *access) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	u, known := a.users[o.Username]
	given := o.Password
	if o.Token != "" && a.token != nil {
		u, known, given = *a.token, true, o.Token
	}
	sum := sha256.Sum256([]byte(given))
	if subtle.ConstantTimeCompare(sum[:], u.secret[:]) != 1 || !known {
		return false
	}
	account, err := a.srv.LookupAccount(u.account)
	if err != nil {
		return false
	}
	c.RegisterUser(&server.User{Username: o.Username, Account: account, Permissions: u.permissions})
	return true
}

// Control verbs of the users.
var (
	viewerVerbs     = []string{"get", "snapshot", "lessons"}
	controllerVerbs = []string{"get", "snapshot", "lessons", "set", "pause", "resume", "normal", "forget"}
)

// dataSubjects returns what the account of oodcast exports to subscribers.
func dataSubjects(prefix string) (list []string) {
	for _, kind := range []string{
		schema.KindMap, schema.KindScore, schema.KindEvent + ".>", schema.KindStatus, schema.KindStats, schema.KindSnapshot,
		schema.KindAudit,
	} {
		list = append(list, prefix+".v1.*.*."+kind)
	}
	return list
}

// readSubjects returns the requests that read streams and presence.
func readSubjects(prefix string) []string {
	s := schema.Subjects{Prefix: prefix}
	list := []string{"$JS.API.INFO"}
	for _, name := range []string{s.EventStream(), s.MapStream(), "KV_" + s.StatusBucket()} {
		list = append(list, "$JS.API.STREAM.INFO."+name, "$JS.API.STREAM.MSG.GET."+name,
			"$JS.API.DIRECT.GET."+name, "$JS.API.DIRECT.GET."+name+".>")
	}
	return list
}

// discoverySubjects returns the requests that all control services answer.
func discoverySubjects() (list []string) {
	for _, verb := range []string{"PING", "INFO", "STATS"} {
		list = append(list, "$SRV."+verb, "$SRV."+verb+".*", "$SRV."+verb+".*.*")
	}
	return list
}

func controlSubjects(prefix string, verbs []string) (list []string) {
	for _, verb := range verbs {
		list = append(list, prefix+".v1.*.*."+schema.KindControl+"."+verb)
	}
	return list
}

// permit returns the permissions of a user with these control verbs.
func permit(cfg Config, verbs []string) *server.Permissions {
	publish := append(controlSubjects(cfg.Prefix, verbs), readSubjects(cfg.Prefix)...)
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: append(publish, discoverySubjects()...)},
		Subscribe: &server.SubjectPermission{Allow: []string{cfg.Prefix + ".>", "_INBOX.>"}},
	}
}

// accounts returns the accounts of the embedded server as its configuration. Requests reach oodcast with the header
// Nats-Request-Info, by which the server says who sent them.
func accounts(prefix string) string {
	var exports, common strings.Builder
	for _, s := range dataSubjects(prefix) {
		fmt.Fprintf(&exports, "{stream: %q}\n", s)
		fmt.Fprintf(&common, "{stream: {account: %s, subject: %q}}\n", ownAccount, s)
	}
	for _, s := range append(readSubjects(prefix), controlSubjects(prefix, controllerVerbs)...) {
		fmt.Fprintf(&exports, "{service: %q}\n", s)
	}
	for _, s := range readSubjects(prefix) {
		fmt.Fprintf(&common, "{service: {account: %s, subject: %q}}\n", ownAccount, s)
	}
	for _, s := range discoverySubjects() {
		fmt.Fprintf(&exports, "{service: %q, response: stream}\n", s)
		fmt.Fprintf(&common, "{service: {account: %s, subject: %q}}\n", ownAccount, s)
	}
	imports := func(verbs []string) string {
		var b strings.Builder
		for _, s := range controlSubjects(prefix, verbs) {
			fmt.Fprintf(&b, "{service: {account: %s, subject: %q}, share: true}\n", ownAccount, s)
		}
		return common.String() + b.String()
	}
	return fmt.Sprintf("accounts {\n%s {jetstream: enabled, exports: [\n%s]}\n%s {imports: [\n%s]}\n%s {imports: [\n%s]}\n}",
		ownAccount, &exports, viewerAccount, imports(viewerVerbs), controllerAccount, imports(controllerVerbs))
}

// newSecret returns a password of 192 random bits.
func newSecret() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}
