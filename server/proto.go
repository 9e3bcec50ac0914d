package server

import (
	"net/http"

	"karst/exec"
	"karst/server/api"
	"karst/sql/format"
	"karst/sql/types"
	"karst/sql/vector"
)

// typeProtobuf asks for rows as protobuf messages.
const typeProtobuf = "application/vnd.ksql.v1+protobuf"

// protoRows is arrayRows with each row as the bytes, in base64, of a message
// whose schema is in the header.
type protoRows struct {
	arrayRows
	encoder format.Encoder
	cells   format.Cells
}

func newProtoRows(w http.ResponseWriter) *protoRows {
	return &protoRows{arrayRows: arrayRows{out: newStream(w)}}
}

// Header implements exec.Rows.
func (p *protoRows) Header(h exec.Header) error {
	var cols []types.Column
	for _, c := range h.Schema.Columns {
		cols = append(cols, types.Column{Name: c.Name, Type: c.Type})
	}
	o := format.Options{Name: "PROTOBUF_NOSR"}
	schema, err := format.Derive(o, cols)
	if err != nil {
		return err
	}
	if p.encoder, err = format.NewEncoder(o, cols); err != nil {
		return err
	}
	p.out.begin(typeProtobuf)
	p.push, p.word = h.Push, h.Push || !h.Table
	p.element(raw(map[string]any{"header": map[string]string{"queryId": h.QueryID, "schema": h.Schema.String(), "protoSchema": schema}}))
	p.Flush()
	return p.out.err
}

// Vectors implements exec.VectorRows.
func (p *protoRows) Vectors(cols []*vector.Vector, i int, deleted bool) bool {
	row := map[string]any{}
	if deleted {
		row["tombstone"] = true
	} else {
		p.cells.Reset()
		if err := p.encoder.Encode(cols, []int32{int32(i)}, &p.cells); err != nil {
			p.element(raw(map[string]any{"errorMessage": &api.Error{Type: api.GenericError, Code: api.CodeServerError, Message: err.Error()}}))
			return false
		}
		row["protobufBytes"] = p.cells.At(0)
	}
	return p.element(raw(map[string]any{"row": row}))
}
