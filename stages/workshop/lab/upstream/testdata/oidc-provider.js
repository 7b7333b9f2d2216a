// A provider that is nobody's here: the npm package oidc-provider, with its own pages, on which any
// password is right. The argument is the mediator as its client: {id, secret, redirectURI}. It
// prints its issuer. Each line on its standard input changes its settings, and is answered with what
// its endpoints have done so far.
'use strict';

const http = require('http');
const { createInterface } = require('readline');
const Provider = require('oidc-provider').default;

const client = JSON.parse(process.argv[2]);
const settings = { pkce: false, auth: 'client_secret_post', accessLife: 2 };

// Store keeps everything in memory, but the client, which is as the settings have it.
class Store {
	static kept = new Map();

	constructor(model) { this.model = model; }

	key(id) { return `${this.model} ${id}`; }

	async find(id) {
		if (this.model !== 'Client') return Store.kept.get(this.key(id));
		return id !== client.id ? undefined : {
			client_id: client.id, client_secret: client.secret, redirect_uris: [client.redirectURI], token_endpoint_auth_method: settings.auth,
			grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
		};
	}

	async findByUid(uid) { return [...Store.kept.values()].find((one) => one.uid === uid); }

	async upsert(id, payload) { Store.kept.set(this.key(id), payload); }

	async consume(id) { Store.kept.get(this.key(id)).consumed = Math.floor(Date.now() / 1000); }

	async destroy(id) { Store.kept.delete(this.key(id)); }

	async revokeByGrantId(grant) {
		for (const [key, one] of Store.kept) if (one.grantId === grant) Store.kept.delete(key);
	}
}

const server = http.createServer().listen(0, '127.0.0.1', () => {
	const issuer = `http://127.0.0.1:${server.address().port}`;
	const provider = new Provider(issuer, {
		adapter: Store,
		pkce: { required: () => settings.pkce },
		scopes: ['openid', 'offline_access', 'balances', 'payments'],
		claims: { openid: ['sub', 'customer'] },
		findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, customer: `customer of ${id}` }) }),
		issueRefreshToken: () => true,
		rotateRefreshToken: () => true,
		ttl: { AccessToken: () => settings.accessLife },
		cookies: { keys: ['any will do'] },
		features: { revocation: { enabled: true } },
	});
	const done = { authorization_code: 0, refresh_token: 0, refused: [], challenges: 0 };
	provider.on('grant.success', (ctx) => { done[ctx.oidc.params.grant_type] += 1; });
	provider.on('authorization.success', (ctx) => { done.challenges += ctx.oidc.params.code_challenge_method === 'S256' ? 1 : 0; });
	for (const event of ['authorization.error', 'grant.error']) {
		provider.on(event, (_, error) => { done.refused.push(error.error); });
	}
	provider.use(async (ctx, next) => { // the package takes a secret in either way
		if (settings.auth === 'client_secret_basic' && ctx.path.startsWith('/token') && !ctx.get('Authorization').startsWith('Basic ')) {
			done.refused.push('invalid_client');
			ctx.status = 401;
			ctx.set('WWW-Authenticate', 'Basic realm="token"');
			ctx.body = { error: 'invalid_client' };
			return;
		}
		await next();
	});
	server.on('request', provider.callback());
	console.log(issuer);
	createInterface({ input: process.stdin }).on('line', (line) => {
		Object.assign(settings, JSON.parse(line));
		console.log(JSON.stringify(done));
	}).on('close', () => process.exit());
});
