'use strict';
// An application as teams have it: express-session keeps its sessions in Redis, and nothing here knows of a gateway.
//
//   PORT, REDIS_URL, SECRETS (separated by commas; the first signs), PREFIX, MAX_AGE (milliseconds)
const express = require('express');
const session = require('express-session');
const { RedisStore } = require('connect-redis');
const { createClient } = require('redis');

async function main() {
  const client = createClient({ url: process.env.REDIS_URL });
  client.on('error', (error) => console.error(String(error)));
  await client.connect();
  const application = express();
  application.use(express.json());
  application.use(session({
    store: new RedisStore({ client, prefix: process.env.PREFIX ?? 'sess:' }),
    secret: process.env.SECRETS.split(','),
    resave: false,
    saveUninitialized: false,
    cookie: { httpOnly: true, sameSite: 'lax', maxAge: process.env.MAX_AGE ? Number(process.env.MAX_AGE) : undefined },
  }));

  application.get('/healthz', (_request, response) => response.send('ok'));
  application.post('/sign-in', (request, response, next) => {
    request.session.regenerate((problem) => {
      if (problem) return next(problem);
      request.session.user = request.body;
      request.session.save((problem) => (problem ? next(problem) : response.json({ id: request.sessionID })));
    });
  });
  application.post('/role', (request, response) => {
    request.session.user.roles = request.body.roles;
    request.session.save(() => response.json(request.session.user));
  });
  application.get('/me', (request, response) => response.json({ user: request.session.user ?? null }));
  application.post('/sign-out', (request, response, next) => {
    request.session.destroy((problem) => (problem ? next(problem) : response.status(204).end()));
  });
  application.listen(Number(process.env.PORT), '127.0.0.1');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
