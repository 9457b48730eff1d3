package echostr

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// sample is a push and the JSON that is expected of it.
type sample struct {
	name string
	body []byte
	want map[string]any
}

// samples returns the vectors and our own examples: those of WeChat's
// documentation that the vectors do not have.
func samples(tb testing.TB) []sample {
	tb.Helper()
	var all []sample
	for _, dir := range []string{"testdata/vectors/messages", "testdata/messages"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.xml"))
		if err != nil || len(files) < 60 {
			tb.Fatalf("%s: %d samples, %v", dir, len(files), err)
		}
		for _, file := range files {
			s := sample{name: strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".xml")}
			if s.body, err = os.ReadFile(file); err != nil {
				tb.Fatal(err)
			}
			text, err := os.ReadFile(strings.TrimSuffix(file, ".xml") + ".json")
			if err != nil {
				tb.Fatal(err)
			}
			s.want = object(tb, text)
			all = append(all, s)
		}
	}
	return all
}

func object(tb testing.TB, text []byte) map[string]any {
	tb.Helper()
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		tb.Fatalf("%v in %s", err, text)
	}
	return v
}

func parse(tb testing.TB, body []byte) *Document {
	tb.Helper()
	d := new(Document)
	if err := d.Parse(body); err != nil {
		tb.Fatal(err)
	}
	return d
}

func TestSamplesToJSON(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			d := parse(t, s.body)
			if diff := cmp.Diff(s.want, object(t, d.AppendJSON(nil))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if d.Raw() != string(s.body) {
				t.Error("Raw is not the body")
			}
		})
	}
}

// The Go type must name every field of the sample: one that was forgotten is
// missing after decoding and encoding.
func TestSamplesToGoAndBack(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			m := decode(t, s.body)
			if m.Head().Raw() != string(s.body) {
				t.Error("Raw is not the body")
			}
			encoded := AppendMessage(nil, m)
			got := leavesOf(object(t, parse(t, encoded).AppendJSON(nil)))
			for path, want := range leavesOf(s.want) {
				if path == "Encrypt" && s.want["MsgType"] != nil {
					continue // the envelope's, not the message's
				}
				if !slices.EqualFunc(want, got[path], sameValue) {
					t.Errorf("%s: %q became %q\n%s", path, want, got[path], encoded)
				}
			}
			if again := decode(t, encoded); !cmp.Equal(m, again, ignoreRaw) {
				t.Errorf("-first +second decoding\n%s", cmp.Diff(m, again, ignoreRaw))
			}
		})
	}
}

var ignoreRaw = cmp.Options{cmpopts.IgnoreUnexported(Header{}), cmpopts.EquateEmpty()}

func decode(tb testing.TB, body []byte) Message {
	tb.Helper()
	m, err := Decode(body)
	if err != nil {
		tb.Fatalf("%v\n%s", err, body)
	}
	return m
}

// leavesOf flattens JSON: the values of each path, without empty ones, which
// mean the same as none.
func leavesOf(v map[string]any) map[string][]string {
	out := make(map[string][]string)
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case string:
			if v = strings.TrimSpace(v); v != "" {
				out[path] = append(out[path], v)
			}
		case []any:
			for _, e := range v {
				walk(path, e)
			}
		case map[string]any:
			for k, e := range v {
				walk(strings.TrimPrefix(path+"/"+k, "/"), e)
			}
		}
	}
	walk("", v)
	return out
}

// sameValue compares numbers as numbers, and what a codec may rightly change.
func sameValue(want, got string) bool {
	if s, ok := strings.CutPrefix(want, "![CDATA["); ok {
		want = strings.TrimSuffix(s, "]]")
	}
	a, err1 := strconv.ParseFloat(want, 64)
	b, err2 := strconv.ParseFloat(got, 64)
	if err1 == nil && err2 == nil && len(want) < 16 {
		return a == b
	}
	return want == got
}

// What the samples say, as Go values: one of each shape.
func TestDecode(t *testing.T) {
	t.Parallel()
	head := func(from string, at int64, kind string) Header {
		return Header{ToUserName: "gh_8c001c7d976e", FromUserName: from, CreateTime: at, MsgType: kind}
	}
	tests := map[string]Message{
		"text": &TextMessage{
			MessageHeader: MessageHeader{Header: head("oNYPFJxJ5yRQW_-XtIUBq1VaUATZ", 1700000001, "text"), MsgID: 24330000000000001},
			Content:       "你好，世界",
		},
		"text-menu-choice": &TextMessage{
			MessageHeader: MessageHeader{Header: head("o14HwGR84RBNof5eL_MxoaeeAWl8", 1700000003, "text"), MsgID: 24330000000000003},
			Content:       "不满意", BizMsgMenuID: "102",
		},
		"text-multiline": &TextMessage{
			MessageHeader: MessageHeader{Header: head("o3ZC31LN05B7Omo-BOc5YbgzDOYf", 1700000005, "text"), MsgID: 24330000000000005},
			Content:       "第一行\n第二行\n\n  第四行\t完 ",
		},
		"location-south-west": &LocationMessage{
			MessageHeader: MessageHeader{Header: head("oJyJDjXz8ZkHk26NKXu6pifLdap_", 1700000014, "location"), MsgID: 24330000000000014},
			LocationX:     -33.856784, LocationY: -70.64827, Scale: 16, Label: "Santiago, Chile & Co.",
		},
		"event-LOCATION": &LocationEvent{
			EventHeader: EventHeader{Header: head("oZg2aQDTgipovuj4lqBzdjIyDLzQ", 1700000106, "event"), Event: "LOCATION"},
			Latitude:    39.9042, Longitude: 116.407396, Precision: 65,
		},
		"event-user_consume_card": &UserConsumeCardEvent{
			EventHeader: EventHeader{Header: Header{
				ToUserName: "gh_fc0a06a20993", FromUserName: "oZI8Fj040-be6rlDohc6gkoPOQTQ", CreateTime: 1472549042, MsgType: "event",
			}, Event: "user_consume_card"},
			CardID: "pZI8Fj8y-E8hpvho2d1ZvpGwQBvA", UserCardCode: "452998530302", ConsumeSource: "FROM_API",
			StaffOpenID: "oZ********nJ3bPJu_Rtjkw4c", OuterStr: "xxxxx",
		},
		"event-PUBLISHJOBFINISH-fail": &PublishJobFinishEvent{
			EventHeader: EventHeader{Header: Header{
				ToUserName: "gh_4d00ed8d6399", FromUserName: "oV5CrjpxgaGXNHIQigzNlgLTnwic", CreateTime: 1481013459, MsgType: "event",
			}, Event: "PUBLISHJOBFINISH"},
			PublishEventInfo: PublishEventInfo{PublishID: 2247503051, PublishStatus: 2, FailIdx: []int{1, 2}},
		},
		"unknown-type": &UnknownMessage{
			MessageHeader: MessageHeader{Header: head("o7isWlfPhFwxc3lUHBhoY3BOBvg3", 1700000017, "hologram"), MsgID: 24330000000000017},
		},
		"event-unknown": &UnknownEvent{
			EventHeader: EventHeader{Header: head("os5wsUj7BqbuSfNo6m-8Umqt0ohj", 1700000125, "event"), Event: "holo_shake"},
			EventKey:    "k",
		},
		"envelope-safe": &UnknownMessage{MessageHeader: MessageHeader{Header: Header{ToUserName: "gh_8c001c7d976e"}}},
	}
	for name, want := range tests {
		got := decode(t, vector(t, name+".xml"))
		if diff := cmp.Diff(want, got, ignoreRaw); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

// Every name of the protocol's list has a Go type, in any letter case.
func TestEventNames(t *testing.T) {
	t.Parallel()
	names := strings.Fields(`subscribe unsubscribe SCAN ENTER LOCATION
		CLICK VIEW view_miniprogram scancode_push scancode_waitmsg pic_sysphoto pic_photo_or_album pic_weixin location_select
		TEMPLATESENDJOBFINISH MASSSENDJOBFINISH PUBLISHJOBFINISH
		subscribe_msg_popup_event subscribe_msg_change_event subscribe_msg_sent_event
		kf_create_session kf_close_session kf_switch_session
		qualification_verify_success qualification_verify_fail naming_verify_success naming_verify_fail annual_renew verify_expired
		wx_verify_pay_succ wx_verify_dispatch wx_verify_refill wx_verify_fail
		user_info_modified user_authorization_revoke user_authorization_cancellation
		card_pass_check card_not_pass_check card_merchant_check_result user_get_card user_gifting_card user_del_card user_consume_card
		user_pay_from_pay_cell user_view_card user_enter_session_from_card update_member_card card_sku_remind card_pay_order
		submit_membercard_user_info giftcard_pay_done giftcard_send_to_friend giftcard_user_accept
		poi_check_notify WifiConnected ShakearoundUserShake ShakearoundLotteryBind merchant_order
		apply_merchant_audit_info create_map_poi_audit_info add_store_audit_info modify_store_audit_info
		user_authorize_invoice update_invoice_status submit_invoice_title cloud_invoice_invoiceresult_event
		user_scan_product user_scan_product_enter_session user_scan_product_async user_scan_product_verify_action
		guide_qrcode_scan_event guide_invite_result_event add_guide_buyer_relation_event
		user_enter_tempsession weapp_audit_success weapp_audit_fail weapp_audit_delay
		wxa_media_check wxa_nickname_audit wxa_privacy_apply wxa_illegal_record wxa_appeal_record wxa_category_audit
		open_product_order_pay debug_demo`)
	types := make(map[reflect.Type]string)
	for _, name := range names {
		for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			m := decode(t, fmt.Appendf(nil, "<xml><MsgType> Event\n</MsgType><Event>%s</Event></xml>", spelling))
			if _, unknown := m.(*UnknownEvent); unknown {
				t.Fatalf("%s is unknown", spelling)
			}
			typ := reflect.TypeOf(m)
			if other, ok := types[typ]; ok && other != name {
				t.Errorf("%s and %s have the type %v", name, other, typ)
			}
			types[typ] = name
			if spelled := reflect.ValueOf(m).Elem().FieldByName("Event").String(); spelled != spelling {
				t.Errorf("Event is %q, not as it was sent, %q", spelled, spelling)
			}
		}
	}
}

// Every type in its tables, with random-looking values in all its fields,
// survives encoding and decoding.
func TestEveryFieldRoundTrips(t *testing.T) {
	t.Parallel()
	var all []Message
	for kind, make := range messageTypes {
		m := make()
		fill(reflect.ValueOf(m).Elem(), new(int))
		m.Head().MsgType = kind
		all = append(all, m)
	}
	for name, make := range eventTypes {
		m := make()
		fill(reflect.ValueOf(m).Elem(), new(int))
		m.Head().MsgType = "event"
		reflect.ValueOf(m).Elem().FieldByName("Event").SetString(name)
		all = append(all, m)
	}
	for _, m := range all {
		encoded := AppendMessage(nil, m)
		if diff := cmp.Diff(m, decode(t, encoded), ignoreRaw); diff != "" {
			t.Errorf("-want +got\n%s\n%s", diff, encoded)
		}
	}
}

// fill gives every exported field another value.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), n)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.String:
		v.SetString(fmt.Sprintf(" 值 %d ]]> <&\r\n]] > ]]", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n) * 1e6)
	case reflect.Float64:
		v.SetFloat(float64(*n) / 7)
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic(v.Kind())
	}
}

func TestAppendMessageDropsIllegal(t *testing.T) {
	t.Parallel()
	m := &TextMessage{MessageHeader: MessageHeader{Header: Header{MsgType: "text"}}, Content: "a\x00b\x08]\x01]\xff>c\ufffe\x7f\u0085😀"}
	got := decode(t, AppendMessage(nil, m)).(*TextMessage).Content
	if want := "ab]]>c\x7f\u0085😀"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestScene(t *testing.T) {
	t.Parallel()
	tests := []struct {
		event SceneEvent
		want  string
	}{
		{&SubscribeEvent{}, ""},
		{&SubscribeEvent{EventKey: "qrscene_123"}, "123"},
		{&SubscribeEvent{EventKey: "qrscene_a_qrscene_b"}, "a_qrscene_b"},
		{&SubscribeEvent{EventKey: "qrscene_"}, ""},
		{&SubscribeEvent{EventKey: "last_trade_no_42"}, ""},
		{&SubscribeEvent{EventKey: "scanbarcode|ean13|69"}, ""},
		{&SubscribeEvent{EventKey: "123"}, ""},
		{&ScanEvent{EventKey: "4294967295"}, "4294967295"},
		{&ScanEvent{EventKey: "qrscene_x"}, "qrscene_x"},
	}
	for _, tt := range tests {
		if got := tt.event.Scene(); got != tt.want {
			t.Errorf("%T %+v: %q, want %q", tt.event, tt.event, got, tt.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int64{
		"": 0, "0": 0, "7": 7, "-7": -7, "+7": 7, " 15 ": 15, "\n15": 15, "007": 7, "1.0": 1, "1.": 1, "-2.000": -2,
		"1.5": 0, "abc": 0, "12a": 0, "0x10": 0, "1_000": 0, "1e3": 1000, "1.5e1": 15, "1e30": 0, "NaN": 0, "Inf": 0, "１": 0,
		"9223372036854775807": 9223372036854775807, "9223372036854775808": 0, "-9223372036854775808": -9223372036854775808,
		"9007199254740993.0": 9007199254740993, "999999999999999999": 999999999999999999, ".0": 0, ".": 0, "-": 0, "--1": 0,
	} {
		if got := parseInt(s); got != want {
			t.Errorf("parseInt(%q) = %d, want %d", s, got, want)
		}
	}
	for n := int64(1); n < 1e18; n = n*3 + 7 {
		if got := parseInt(strconv.FormatInt(n, 10)); got != n {
			t.Errorf("parseInt(%d) = %d", n, got)
		}
	}
	for i := range "1234567890123456" { // a byte beside the digits, in every place of a word
		for _, c := range "/:pP@" {
			s := []byte("1234567890123456")
			s[i] = byte(c)
			if got := parseInt(string(s)); got != 0 {
				t.Errorf("parseInt(%q) = %d", s, got)
			}
		}
	}
	for s, want := range map[string]float64{
		"": 0, "23.137466": 23.137466, " -1.5 ": -1.5, "1e2": 100, "nan": 0, "inf": 0, "0x1p4": 0, "1e999": 0, "1_0": 0, "x": 0,
	} {
		if got := parseFloat(s); got != want {
			t.Errorf("parseFloat(%q) = %v, want %v", s, got, want)
		}
	}
	// A number that is none is 0 and never an error for the whole push; a time
	// in milliseconds becomes seconds.
	m := decode(t, []byte("<xml><CreateTime>1700000001234</CreateTime><MsgType>text</MsgType><MsgId>x</MsgId><Idx>1.0</Idx></xml>")).(*TextMessage)
	if m.CreateTime != 1700000001 || m.MsgID != 0 || m.Idx != 1 {
		t.Errorf("%+v", m)
	}
}

func TestField(t *testing.T) {
	t.Parallel()
	m := decode(t, vector(t, "event-unknown.xml"))
	h := m.Head()
	for _, tt := range []struct {
		path []string
		want string
		ok   bool
	}{
		{[]string{"HoloInfo", "Count"}, "2", true},
		{[]string{"holoinfo", "HoloList", "ITEM", "id"}, "1", true},
		{[]string{"HoloInfo"}, "", false},
		{[]string{"HoloInfo", "None"}, "", false},
		{[]string{"EventKey", "x"}, "", false},
		{nil, "", false},
	} {
		if got, ok := h.Field(tt.path...); got != tt.want || ok != tt.ok {
			t.Errorf("Field(%q) = %q, %v", tt.path, got, ok)
		}
	}
	if _, ok := new(TextMessage).Field("Content"); ok {
		t.Error("a message that was not decoded has a field")
	}
}

func TestDecodeAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("sync.Pool forgets at random under the race detector")
	}
	body := vector(t, "text.xml")
	d := parse(t, body)
	m := decode(t, body)
	buf := make([]byte, 0, 4096)
	for _, tt := range []struct {
		name string
		max  float64
		f    func()
	}{
		{"Decode", 2, func() { sink, _ = Decode(body) }},
		{"Key", 0, func() { d.Key("wxb11529c136998cb6") }},
		{"Get", 0, func() { d.Get("Content") }},
		{"AppendMessage", 0, func() { AppendMessage(buf, m) }},
	} {
		if got := testing.AllocsPerRun(500, tt.f); got > tt.max {
			t.Errorf("%s: %v allocations, at most %v allowed", tt.name, got, tt.max)
		}
	}
}
