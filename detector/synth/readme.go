package synth

import (
	"bytes"
	"fmt"
	"strings"
)

// readme is the note in the set: what it was made of, how it can be made again, and whose licences apply.
func (w *writer) readme(footage Footage) []byte {
	var b bytes.Buffer
	c := w.g.cfg
	fmt.Fprintf(&b, `# A synthetic set

%d pictures by `+"`oodcast synth`"+`: frames of normal footage into which things were pasted that do not belong there.
`+"`images/N.png`"+` with `+"`labels_masks/N.png`"+` (0 the frame, 1 pasted, 255 a blended edge); `+"`things.jsonl`"+` lists what is where.

Evaluate it with `+"`oodcast eval --dataset folder --root DIR`"+` or, beside other sets, with `+"`oodcast eval --sets`"+`. It compares settings and
bundles on this footage. Real anomalies are more varied: an AP on it promises nothing about them.

## Made of

`, w.count)
	for _, name := range footage.Names {
		fmt.Fprintf(&b, "* footage: %s\n", oneLine(name))
	}
	fmt.Fprintf(&b, "* %d frames in all, of which %d were used\n", w.result.Frames, min(w.count, w.result.Frames))
	for _, o := range w.g.objects {
		fmt.Fprintf(&b, "* object: %s\n", oneLine(o.Name))
	}
	if len(w.g.objects) == 0 {
		b.WriteString("* objects: shapes and textures drawn by formula\n")
	}
	kinds := strings.Trim(fmt.Sprint(c.Kinds), "[]")
	fmt.Fprintf(&b, "* seed %d; kinds %s; %d to %d pixels; up to %d things in a picture\n", c.Seed, kinds, c.MinSize, c.MaxSize, c.Most)
	for _, k := range Kinds() {
		if n := w.result.Things[k]; n > 0 {
			fmt.Fprintf(&b, "* %d × %s\n", n, k)
		}
	}
	b.WriteString(`
## Licence

The pictures are made of the footage and the objects above, whose licences and rights apply to them; whoever passes the set on
sees to that. The program adds no right and no claim of its own: what it draws by formula is free for any use (CC0 1.0).
`)
	return b.Bytes()
}

// oneLine keeps a name from starting a line of its own in the note.
func oneLine(name string) string { return strings.Join(strings.Fields(name), " ") }
