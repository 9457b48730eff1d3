package config

// The development accounts. Everything about them is public, so `echostr dev`
// and `echostr push` agree without being told, and `echostr serve` refuses them:
// whoever reads this file could forge pushes to them (S30). Both have the same token
// and key, so that only the URL says which one is pushed to.
const (
	DevelopmentName           = "dev"
	DevelopmentAppID          = "wx00000000000000de"
	DevelopmentAppSecret      = "echostrdevelopmentnosecret000000"
	DevelopmentOriginalID     = "gh_0000000000de"
	DevelopmentToken          = "zEchostrDevelopmentTokenNoSecret"
	DevelopmentEncodingAESKey = "EchostrDevelopmentEncodingAESKeyNotSecret00"

	DevelopmentSubName       = "dev-sub"
	DevelopmentSubAppID      = "wx0000000000000de5"
	DevelopmentSubAppSecret  = "echostrdevelopmentnosecret000005"
	DevelopmentSubOriginalID = "gh_000000000de5"
)

// Development returns the configuration of `echostr dev`: two accounts with the demo bot, in
// mode plain. The first is a verified service account (已认证服务号), which may send late
// answers by the customer-service API (客服消息); the second is an unverified subscription
// account (未认证订阅号), which may not, so that holding and tickets are seen. The
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
			Name:       DevelopmentName,
			AppID:      DevelopmentAppID,
			AppSecret:  NewSecret(DevelopmentAppSecret),
			OriginalID: DevelopmentOriginalID,
			Verified:   true,
		}, {
			Name:       DevelopmentSubName,
			AppID:      DevelopmentSubAppID,
			AppSecret:  NewSecret(DevelopmentSubAppSecret),
			OriginalID: DevelopmentSubOriginalID,
		}},
	}
	for i := range c.Accounts {
		a := &c.Accounts[i]
		a.Token, a.EncodingAESKey = NewSecret(DevelopmentToken), NewSecret(DevelopmentEncodingAESKey)
		a.Mode, a.Bot = Plain, BotDemo
	}
	c.fillDefaults()
	return c
}
