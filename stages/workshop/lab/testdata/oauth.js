// A client of OAuth that somebody wrote with the package named in the first argument. The second
// is the settings as JSON. It prints the address that the user's browser has to open, waits for
// its answer at a loopback address, and then prints what came of everything that it tried.
'use strict';

const http = require('http');
const { issuer, id, secret, renews } = JSON.parse(process.argv[3]);

// Both packages, under the same few names. Each throws where the server's answer is not as the
// standards have it.
const packages = {
	async 'openid-client'() {
		const oauth = require('openid-client');
		const auth = secret ? oauth.ClientSecretPost(secret) : oauth.None();
		const config = await oauth.discovery(new URL(issuer), id, undefined, auth, { algorithm: 'oauth2' });
		return {
			verifier: config.serverMetadata().supportsPKCE() ? oauth.randomPKCECodeVerifier() : undefined,
			challenge: oauth.calculatePKCECodeChallenge,
			authorize: (redirectURI, state, bound) => oauth.buildAuthorizationUrl(config, { redirect_uri: redirectURI, state, scope: 'rates:read accounts:read', ...bound }),
			redeem: (callback, redirectURI, state, verifier) => oauth.authorizationCodeGrant(config, callback, { expectedState: state, pkceCodeVerifier: verifier }),
			refresh: (token) => oauth.refreshTokenGrant(config, token),
			revoke: (token) => oauth.tokenRevocation(config, token),
			introspect: (token, hint) => oauth.tokenIntrospection(config, token, hint && { token_type_hint: hint }),
		};
	},
	async oauth4webapi() {
		const oauth = require('oauth4webapi');
		const client = { client_id: id };
		const auth = secret ? oauth.ClientSecretBasic(secret) : oauth.None();
		const as = await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oauth2' }));
		return {
			verifier: as.code_challenge_methods_supported?.includes('S256') ? oauth.generateRandomCodeVerifier() : undefined,
			challenge: oauth.calculatePKCECodeChallenge,
			authorize(redirectURI, state, bound) {
				const url = new URL(as.authorization_endpoint);
				url.search = new URLSearchParams({ response_type: 'code', client_id: id, redirect_uri: redirectURI, state, scope: 'rates:read accounts:read', ...bound });
				return url;
			},
			async redeem(callback, redirectURI, state, verifier) {
				const parameters = oauth.validateAuthResponse(as, client, callback, state);
				const response = await oauth.authorizationCodeGrantRequest(as, client, auth, parameters, redirectURI, verifier ?? oauth.nopkce);
				return oauth.processAuthorizationCodeResponse(as, client, response);
			},
			refresh: async (token) => oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, auth, token)),
			revoke: async (token) => oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, token)),
			async introspect(token, hint) {
				const options = { additionalParameters: new URLSearchParams(hint && { token_type_hint: hint }) };
				return oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth, token, options));
			},
		};
	},
};

// outcome is "ok", or the error that the server answered; of a challenge, its scheme.
async function outcome(promise) {
	try {
		await promise;
		return 'ok';
	} catch (err) {
		if (err.code === 'OAUTH_WWW_AUTHENTICATE_CHALLENGE') return `${err.status} ${err.cause[0].scheme}`;
		return err.error ?? err.cause?.error ?? String(err.stack ?? err);
	}
}

(async () => {
	const oauth = await packages[process.argv[2]]();
	const arrived = {};
	arrived.promise = new Promise((resolve) => (arrived.resolve = resolve));
	const server = http.createServer((req, res) => {
		res.end('Back in the program.');
		arrived.resolve(req.url);
	});
	await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
	const origin = `http://127.0.0.1:${server.address().port}`;
	const redirectURI = origin + '/callback';
	const state = 'a state & more';
	const { verifier } = oauth; // where the server's metadata says that it binds codes to one
	const bound = verifier ? { code_challenge: await oauth.challenge(verifier), code_challenge_method: 'S256' } : {};
	console.log(oauth.authorize(redirectURI, state, bound).href);
	const callback = new URL(await arrived.promise, origin);
	server.close();
	server.closeAllConnections();

	const said = {};
	const active = async (token, hint) => (secret ? String((await oauth.introspect(token, hint)).active) : await outcome(oauth.introspect(token, hint)));
	if (verifier) {
		said.unbound = await outcome(oauth.redeem(callback, redirectURI, state));
		said.another = await outcome(oauth.redeem(callback, redirectURI, state, verifier.split('').reverse().join('')));
	}
	let tokens = await oauth.redeem(callback, redirectURI, state, verifier);
	said.scope = tokens.scope;
	said.renewable = tokens.refresh_token !== undefined;
	said.active = await active(tokens.access_token);
	if (renews) {
		const old = tokens.refresh_token;
		said.unused = await active(old, 'refresh_token');
		tokens = await oauth.refresh(old);
		said.used = await active(old, 'refresh_token');
		said.successor = await active(tokens.refresh_token);
		said.renewed = await active(tokens.access_token);
		await oauth.revoke(tokens.access_token);
		said.revoked = await active(tokens.access_token);
		said.reuse = await outcome(oauth.refresh(old));
		said.newest = await outcome(oauth.refresh(tokens.refresh_token));
	} else {
		await oauth.revoke(tokens.access_token);
		said.revoked = await active(tokens.access_token);
	}
	said.again = await outcome(oauth.redeem(callback, redirectURI, state, verifier));
	console.log(JSON.stringify(said));
})().catch((err) => {
	console.error(err);
	process.exit(1);
});
