package importer

import (
	"bytes"
	"text/template"

	"github.com/oodcast/oodcast/models"
)

const cardText = `# {{.M.Name}}

The {{if .M.Encoder.Classes}}segmentation network{{else}}network of features{{end}} below, and {{if .M.Denoiser}}the denoiser that was published with it{{else}}the denoiser that ` + "`oodcast fit`" + ` adds to it{{end}}.

| | |
|---|---|
| architecture | {{.M.Encoder.Architecture}}: {{.What}} |
| weights | {{.M.Provenance.weights}}, sha256 {{.M.Provenance.weights_sha256}} |
{{with .M.Provenance.source}}| source | {{.}} |
{{end}}{{with .M.Provenance.trained_on}}| trained on | {{.}} |
{{end}}| features | {{.M.Encoder.Features}}: {{.M.Encoder.Channels}} channels at stride {{.M.Encoder.Stride}} |
| working size | {{.M.Encoder.Size.Width}}×{{.M.Encoder.Size.Height}} |
| classes | {{range $i, $c := .M.Encoder.Classes}}{{if $i}}, {{end}}{{$c}}{{else}}none: maps show the diffusion score alone{{end}} |

{{with .M.Provenance.licence}}Licence of the weights: {{.}}.{{else}}The licence of the weights is that of their source.{{end}}
`

// modelCard returns MODEL_CARD.md. what describes the network in a few words.
func modelCard(m models.Manifest, what string) ([]byte, error) {
	t, err := template.New("card").Parse(cardText)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	err = t.Execute(&buf, struct {
		M    models.Manifest
		What string
	}{m, what})
	return buf.Bytes(), err
}
