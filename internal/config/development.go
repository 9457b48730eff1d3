package config

// The development account. Everything about it is public, so `echostr dev`
// and `echostr push` agree without being told, and `echostr serve` refuses it:
// whoever reads this file could forge pushes to it (S30).
const (
	DevelopmentName           = "dev"
	DevelopmentAppID          = "wx00000000000000de"
	DevelopmentAppSecret      = "echostrdevelopmentnosecret000000"
	DevelopmentOriginalID     = "gh_0000000000de"
	DevelopmentToken          = "zEchostrDevelopmentTokenNoSecret"
	DevelopmentEncodingAESKey = "EchostrDevelopmentEncodingAESKeyNotSecret00"
)

// Development returns the configuration of `echostr dev`: one unverified
// account, so that holding is seen, with the demo bot, in mode plain. The
// log shows everything, so that a developer sees the value of a panic. Turns are
// kept in memory, unless Store is set to something else.
// It passes [Config.Validate], unlike a file with the same content.
func Development() *Config {
	c := &Config{
		at:          make(map[string]place),
		development: true,
		Store:       memoryStore,
		Log:         Log{Level: "debug"},
		Accounts: []Account{{
			Name:           DevelopmentName,
			AppID:          DevelopmentAppID,
			AppSecret:      NewSecret(DevelopmentAppSecret),
			OriginalID:     DevelopmentOriginalID,
			Token:          NewSecret(DevelopmentToken),
			EncodingAESKey: NewSecret(DevelopmentEncodingAESKey),
			Mode:           Plain,
			Bot:            BotDemo,
		}},
	}
	c.fillDefaults()
	return c
}
